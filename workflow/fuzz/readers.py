"""What is fuzzed: each reader as a step calls it, the files that it begins with, and what changes them."""

from workflow.fuzz.reads import images, models, tables

READERS = images.READERS | tables.READERS | models.READERS
"""By what they read."""
