"""Look at images: ``python -m pipeline.view PATH``. Whatever is read becomes a Stack (``stacks``)."""
