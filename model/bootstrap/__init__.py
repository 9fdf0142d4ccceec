"""Random weight guessing: which of many random networks starts the training."""
