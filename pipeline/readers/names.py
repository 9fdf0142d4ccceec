"""Which file the name in a table means: people write names on one machine and read them on another.

A name fits a file whose path differs in Unicode composition (NFC, NFD), in case, in the slashes, in a leading
``./``, or in the folder that the files lay in before. Where more than one fits, none is taken.
"""

import difflib
import re
import unicodedata
from bisect import bisect
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import ImageMissingError
from pipeline.files import restored

MOST_COMPARED = 20
"""Names that are compared with others letter by letter, which takes milliseconds each."""
NEIGHBOURS = 200
_FRAME = re.compile(r"(.+)(#[1-9][0-9]*)")
"""A frame of a file, as :func:`pipeline.readers.dicom.frames.called` names it."""
_UID = re.compile(r"(?=.{12,64}$)[0-2](\.(0|[1-9][0-9]*)){2,}")
"""A SeriesInstanceUID (PS3.5 9.1), and no number or version."""
_ABSOLUTE = re.compile(r"/|[a-z]:/")


def folded(name: str) -> str:
    r"""A path as it is compared: of two that are equal one may stand for the other.

    >>> folded(r".\Images\A.PNG"), folded("a//b/") == folded("a/b")
    ('images/a.png', True)
    """
    # Once more after folding: it may take a composed letter apart.
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
    return ("/" if text.startswith(("/", "\\")) else "") + "/".join(parts)


def is_uid(name: str) -> bool:
    """Whether a name is that of a DICOM series, a SeriesInstanceUID."""
    return _UID.fullmatch(name) is not None


class Names:
    """The files below a folder, and the folders that hold them, by what a table may call them."""

    def __init__(self, files: Iterable[str], raw: Path, written: Iterable[str] = ()) -> None:
        """``files`` are relative to ``raw``; ``written`` are all names of the table."""
        paths = set(files)
        for file in [*paths]:
            while (file := file.rpartition("/")[0]) and file not in paths:
                paths.add(file)
        self._paths = paths
        self._known: dict[str, list[str]] = {}
        for path in sorted(paths):
            self._known.setdefault(folded(path), []).append(path)
        self._sorted = sorted(self._known)
        self._base: dict[str, list[str]] = {}
        for key in self._sorted:
            self._base.setdefault(key.rpartition("/")[2], []).append(key)
        self._here = folded(raw.absolute().as_posix())
        self._old = self._old_place(written)
        self._compared = 0

    def find(self, name: str) -> str:
        """The path that ``name`` means, as it is on the disk; "." is the folder itself.

        Of ``scan.dcm#3``, a frame, the file is looked for; whether it has such a frame its header says. So it
        does of a series that its UID names, which stays as it is.
        Raises ImageMissingError, with the nearest names.
        """
        plain = "/".join(part for part in name.split("/") if part not in ("", "."))
        if not name.startswith("/") and (plain in self._paths or (name and not plain)):
            return plain or "."
        key = folded(name)
        fits = self._known.get(self._relative(key), [])
        if not fits and (frame := _FRAME.fullmatch(name)):
            fits = [file + frame[2] for file in self._known.get(self._relative(folded(frame[1])), [])]
        if len(fits) == 1:
            return fits[0]
        if not fits and is_uid(name):
            return name
        if not fits and restored(name) != name:  # a table of ours marks what a spreadsheet would run
            return self.find(restored(name))
        near = fits or self._nearest(self._relative(key))
        remedy = f"did you mean {' or '.join(near)}?" if near else ""
        found = f"{len(fits)} that fit" if fits else "no readable file of that name" if name else "no name"
        raise ImageMissingError(found, file=name, remedy=remedy)

    def _relative(self, key: str) -> str:
        for folder in (self._here, self._old):
            if _ABSOLUTE.match(key) and key.startswith(f"{folder}/"):
                return key.removeprefix(f"{folder}/")
        return key

    def _old_place(self, written: Iterable[str]) -> str:
        """The folder without which most of the absolute names fit; of several the shortest.

        One for all of them: two folders of old may have held other files of the same names.
        """
        hits: Counter[str] = Counter()
        files = (frame[1] if (frame := _FRAME.fullmatch(name)) else name for name in written)
        for key in {key for name in (*written, *files) if _ABSOLUTE.match(key := folded(name))}:
            parts = key.split("/")
            for depth in range(1, len(parts)):
                if "/".join(parts[depth:]) in self._known:
                    hits["/".join(parts[:depth])] += 1
        return min(hits, key=lambda folder: (-hits[folder], len(folder)), default="")

    def _nearest(self, key: str) -> list[str]:
        """Up to three paths that a name may have meant."""
        base = key.rpartition("/")[2]
        near = self._base.get(base, [])
        if not near and self._compared < MOST_COMPARED:
            self._compared += 1
            place = bisect(self._sorted, key)
            around = self._sorted[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS]
            # A name with another number is the image of another patient, or another image of this one.
            alike = [other for other in around if _numbers(other) == _numbers(key)]
            near = difflib.get_close_matches(key, alike)
        return [self._known[other][0] for other in near[:3]]


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", name)]
