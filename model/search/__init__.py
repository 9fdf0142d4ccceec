"""Grid search over settings of a method."""
