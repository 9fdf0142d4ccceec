"""Speed and memory beside a plain reference that is written here, as ratios."""
