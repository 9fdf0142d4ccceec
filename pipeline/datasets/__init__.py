"""Data sets: which findings, with which label, at which point of which image."""
