"""Fetching collections: what is wanted, what is there, and what came back whole."""
