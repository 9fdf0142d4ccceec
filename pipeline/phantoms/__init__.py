"""Small synthetic raw downloads in the layout of the real collections: for tests and for the demo."""
