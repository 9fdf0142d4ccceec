"""From scores of findings to figures with intervals."""
