"""A network as it is: its logits, its batch-norm statistics, and scores of findings."""
