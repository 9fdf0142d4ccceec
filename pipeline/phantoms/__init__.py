"""Small synthetic raw downloads in the layout of the real collections: for tests and for the demo."""

SYNTHETIC = ".synthetic"
"""A file that tells raw data written here from somebody's downloads."""
