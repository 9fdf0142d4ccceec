"""The figures of the papers, drawn from our own runs."""
