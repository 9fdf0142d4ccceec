"""One exception per reason, and one line per exception.

A user meets an error as ``CODE file: expected …, found …; remedy``. Where a single case is
bad, the step lists it in its ``skipped`` table with the same code and goes on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LONGEST = 1000
"""Characters of each part of a message: a header may hold a book."""


class InputError(Exception):
    """Something about the input that the user can fix; never a bug of ours."""

    code = "E-INPUT"
    expected = ""
    remedy = ""

    def __init__(self, found: str, *, file: str | Path = "", expected: str = "", remedy: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.file = str(file)
        self.expected = expected or type(self).expected
        self.remedy = remedy or type(self).remedy

    @property
    def reason(self) -> str:
        """What was expected, what was found and what to do, without code and file."""
        parts = [f"expected {_short(self.expected)}"] if self.expected else []
        parts.append(f"found {_short(self.found)}")
        sentence = ", ".join(parts)
        return _visible(f"{sentence}; {_short(self.remedy)}" if self.remedy else sentence)

    def __str__(self) -> str:
        named = f"{self.code} {_visible(self.file)}" if self.file else self.code
        return " ".join(f"{named}: {self.reason}".split())

    def __reduce__(self) -> tuple[Callable[..., "InputError"], tuple[Any, ...]]:
        # Exceptions with keyword arguments do not survive a process pool by themselves.
        return _rebuild, (type(self), self.found, self.file, self.expected, self.remedy)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _visible(text: str) -> str:
    """Text of a stranger's file without what would steer a terminal, or is no character at all."""
    return "".join(
        sign if sign.isprintable() or sign.isspace() else sign.encode("unicode_escape").decode()
        for sign in text
    )


def _rebuild(kind: type[InputError], found: str, file: str, expected: str, remedy: str) -> InputError:
    return kind(found, file=file, expected=expected, remedy=remedy)


class UnreadableError(InputError):
    code = "E-READ"
    expected = "a readable file"
    remedy = "fix its permissions, its disk or its mount, or restore it"


class AccessError(InputError):
    code = "E-ACCESS"
    expected = "access to it"
    remedy = "fix its permissions, its disk or its mount and run again; keep the file, it may be intact"


class NotDicomError(InputError):
    code = "E-DCM-NOTDICOM"
    expected = "DICOM, a picture (PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, PGM), NIfTI, MetaImage or NRRD"
    remedy = "download the file again or remove it"


class TruncatedError(InputError):
    code = "E-DCM-TRUNC"
    remedy = "download the file again"


class LimitError(InputError):
    code = "E-DCM-LIMIT"
    expected = "a file that can be read within 1 GiB and a minute"
    remedy = "it is damaged or made to do harm: remove it or download it again"


class SyntaxUnsupportedError(InputError):
    code = "E-DCM-SYNTAX"
    remedy = "convert the file to Explicit VR Little Endian, for example with dcmdjpeg or gdcmconv --raw"


class MissingTagError(InputError):
    code = "E-DCM-TAG"
    remedy = "take the series out or restore the tags"


class TagValueError(InputError):
    code = "E-DCM-VALUE"
    remedy = "correct the tag, or take the series out"


class MultiFrameError(InputError):
    code = "E-DCM-MULTIFRAME"
    expected = "one image per file, or functional groups that place each frame"
    remedy = "name one frame, such as scan.dcm#3; without functional groups split the file"


class NotImageError(InputError):
    code = "E-DCM-NOTIMAGE"
    expected = "an image"
    remedy = "nothing to do, unless it is a mask: name it in the column mask of your table"


class DuplicateUidError(InputError):
    code = "E-DCM-DUPUID"
    expected = "one content per SOP Instance UID"
    remedy = "keep one of the files"


class GapError(InputError):
    code = "E-GEO-GAP"
    remedy = "download the missing slices"


class DuplicatePositionError(InputError):
    code = "E-GEO-DUP"
    expected = "one slice per position"
    remedy = "keep one acquisition of the series"


class OrientationError(InputError):
    code = "E-GEO-ORIENT"
    expected = "parallel slices of one spacing"
    remedy = "take localizers and reformats out of the series"


class ConstantImageError(InputError):
    code = "E-IMG-CONST"
    expected = "an image with contrast"
    remedy = "check the image; a blank series cannot be Z-scored"


class NotFiniteError(InputError):
    code = "E-IMG-NAN"
    expected = "finite pixel values"
    remedy = "replace NaN and Inf in the image"


class ImageMissingError(InputError):
    code = "E-IMG-MISSING"
    expected = "a readable image in the raw folder"
    remedy = "correct the name, or take the row out; skipped.csv lists files that cannot be read"


class BombError(InputError):
    code = "E-IMG-BOMB"
    remedy = "shrink the image"


class VolumeError(InputError):
    code = "E-VOL"
    remedy = "export the volume as a 3-D image with its geometry"


class TimeError(VolumeError):
    code = "E-VOL-TIME"
    remedy = "name it: in the column time of the table, or with --time"


class OutsideError(VolumeError):
    code = "E-VOL-OUTSIDE"
    expected = "a raw file in the folder of its header"
    remedy = "put it there and name it without a folder"


class UnplacedError(VolumeError):
    code = "E-VOL-AFFINE"
    expected = "voxels with a place in the patient"
    remedy = "export the volume with its geometry, or give points in voxels and sizes in px"


class ByteOrderError(VolumeError):
    code = "E-VOL-BYTES"
    expected = "an image"
    remedy = "correct ElementByteOrderMSB (or BinaryDataByteOrderMSB) in the header"


class SeveralSeriesError(InputError):
    code = "E-SERIES"
    remedy = "choose one with --series"


class DisplayError(InputError):
    code = "E-DISPLAY"


class ColumnError(InputError):
    code = "E-CSV-COL"
    remedy = "correct the header, or use the file as published"


class TableError(InputError):
    code = "E-CSV"
    expected = "a table as this program writes it"
    remedy = "delete it and run again; its rule makes it again"


class DuplicateFindingError(InputError):
    code = "E-CSV-DUP"
    remedy = "keep one row per finding"


class LabelError(InputError):
    code = "E-LABEL"
    remedy = "correct the label"


class UnlabelledError(InputError):
    code = "E-LABEL-NONE"
    expected = "a finding"
    remedy = "nothing to do, unless an id is misspelt"


class OutOfImageError(InputError):
    code = "E-LESION-OOB"
    expected = "a point inside the image"
    remedy = "check the position against the image"


class NotTissueError(InputError):
    code = "E-LESION-AIR"
    expected = "soft tissue at the lesion centre"
    remedy = "look at the slice and correct the position"


class NoSeriesError(InputError):
    code = "E-LESION-NOSERIES"
    remedy = "download the series"


class NoCentreError(InputError):
    code = "E-LESION-NOCENTRE"
    expected = "a lesion centre"
    remedy = "add a row to the centres table"


class LeakError(InputError):
    code = "E-LEAK"
    expected = "groups and images in one split only"
    remedy = "make the splits again"


class VerifyError(InputError):
    code = "E-VERIFY"
    expected = "data that pass all checks"
    remedy = "look at verify.html beside it"


class SplitError(InputError):
    code = "E-SPLIT"
    remedy = "use fewer folds, larger fractions or more groups; a group counts as its worst label"


class EmptyError(InputError):
    code = "E-EMPTY"
    remedy = "check the raw folder and the skipped table"


class SkippedError(InputError):
    code = "E-SKIPPED"
    remedy = "look at the reasons there and fix the input"


class RawMissingError(InputError):
    code = "E-RAW"


class ArchiveError(InputError):
    """An archive that is not unpacked."""

    code = "E-ZIP"
    remedy = "download it again; if that does not help, tell those who offer it"


class ArchiveFormatError(ArchiveError):
    code = "E-ZIP-FORMAT"
    expected = "a zip or tar.gz"


class ArchiveNameError(ArchiveError):
    code = "E-ZIP-NAME"
    expected = "names of plain letters, digits and blanks, within the archive's own folder"


class ArchiveLinkError(ArchiveError):
    code = "E-ZIP-LINK"
    expected = "files and folders, no links or devices"


class ArchiveDuplicateError(ArchiveError):
    code = "E-ZIP-DUP"
    expected = "each name once, in whatever case"


class ArchiveEncryptedError(ArchiveError):
    code = "E-ZIP-CRYPT"
    expected = "members without a password"


class ArchiveBombError(ArchiveError):
    code = "E-ZIP-BOMB"


class ArchiveChecksumError(ArchiveError):
    code = "E-ZIP-CRC"
    expected = "a complete archive with correct checksums"


class ChecksumError(InputError):
    code = "E-SUM"
    remedy = "remove the file, and it is fetched again; if a new version was published, check that first"


class TokenError(InputError):
    code = "E-TOKEN"
    expected = "a token for Kaggle"
    remedy = (
        "make one at https://www.kaggle.com/settings (API) and save it as ~/.kaggle/kaggle.json, or set"
        " KAGGLE_USERNAME and KAGGLE_KEY; or put the folders yes and no into the raw folder by hand"
    )


class StoreError(InputError):
    code = "E-STORE"
    remedy = "delete the file and run again; its rule makes it again"


class StrangeStoreError(StoreError):
    code = "E-STORE-STRANGE"
    expected = "a store as this project writes it: plain numbers and texts, all in the file itself"
    remedy = "do not trust it; make the store from the raw files with this project"


class ConfigError(InputError):
    code = "E-CONFIG"

    @property
    def each(self) -> Sequence["ConfigError"]:
        """The errors that it is made of: itself."""
        return (self,)


class SeveralConfigError(ConfigError):
    """Several at once, a line each: who has made two slips wants to hear of both."""

    def __init__(self, problems: Sequence["ConfigError"]) -> None:
        super().__init__(problems[0].found, file=problems[0].file)
        self.problems = tuple(problems)

    @property
    def each(self) -> Sequence["ConfigError"]:
        """The errors that it is made of."""
        return self.problems

    def __str__(self) -> str:
        return "\n".join(dict.fromkeys(map(str, self.problems)))

    def __reduce__(self) -> tuple[Callable[..., InputError], tuple[Any, ...]]:
        return type(self), (self.problems,)


class TargetError(InputError):
    """A word of the command line that is no target."""

    code = "E-TARGET"
    expected = "a file that a step makes, or a word such as report or tables"


class DiskError(InputError):
    code = "E-DISK"
    expected = "room on the disk"
    remedy = "free some space and run again; nothing was overwritten"


class MemoryShortError(InputError):
    code = "E-OOM"
    expected = "enough memory"
    remedy = "run fewer jobs at once, or lower batch_size or views; what was finished is kept"


class NetError(InputError):
    code = "E-NET"
    remedy = "run again: complete files are kept"


class LockedError(InputError):
    code = "E-LOCKED"
    expected = "one trainer per checkpoint"
    remedy = "wait for it or end it"


class ModelError(InputError):
    code = "E-MODEL"
    expected = "the state dict of a published network, with one or three channels"
    remedy = "other networks cannot be converted"


class PickledError(InputError):
    code = "E-PICKLE"
    expected = "a state dict: tensors by name"


class LossError(InputError):
    code = "E-LOSS"
    expected = "a finite loss"
    remedy = "lower the learning rate"
