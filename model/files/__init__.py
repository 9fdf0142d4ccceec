"""What lies on disk of a model: weights, cards, and what others made."""
