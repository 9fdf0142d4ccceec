"""Copies of this project's code, for tests that edit it or add to it."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def copy_code(folder: Path, *packages: str) -> Path:
    """Copy packages into a folder, with what Python and we remember of them: it spares each process a second.

    What another process writes at this moment has a name of its own for so long, and is left out.
    """
    for package in packages:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc.*", "*.json.*")
        )
    return folder
