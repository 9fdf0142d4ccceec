"""Imported by the server of the children that decoders run in: they are guarded as the reader is."""

from pathlib import Path

from pipeline.pool import in_child
from workflow.fuzz import guard

guard.install()


@in_child
def warm(path: Path) -> None:
    """Do nothing, in a child: that there is one, and where its socket lies, is known from then on."""
