"""Write small synthetic raw data in the exact layout of a collection, with a signal that can be learned.

The same kind, number of patients and seed give the same bytes. Nothing here shows a person.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import run_cli
from pipeline.errors import InputError
from pipeline.files import atomic_folder
from pipeline.phantoms import SYNTHETIC
from pipeline.phantoms.brain import write_brain
from pipeline.phantoms.chest import write_chestxray14, write_chexpert
from pipeline.phantoms.dicom import Geometry, write_ct_series, write_mr_series
from pipeline.phantoms.lungx import write_lungx
from pipeline.phantoms.mura import write_mura
from pipeline.phantoms.prostatex import write_prostatex

__all__ = ["KINDS", "Geometry", "main", "write_ct_series", "write_mr_series", "write_phantom"]

KINDS = {
    "prostatex": write_prostatex, "lungx": write_lungx, "brain": write_brain,
    "chestxray14": write_chestxray14, "chexpert": write_chexpert, "mura": write_mura,
}  # fmt: skip


def write_phantom(kind: str, out: str | Path, patients: int, seed: int, test: int = 0) -> None:
    """Write the raw data of ``patients`` patients (brain: pictures) below the new folder ``out``.

    ``test`` adds patients without labels where the collection has such: PROSTATEx. Raises InputError where
    the folder holds something: raw data may be somebody's only copy.
    """
    out = Path(out)
    _check_free(out)
    if kind == "prostatex":
        write_prostatex(out, patients, seed, test)
    else:
        KINDS[kind](out, patients, seed)


def _check_free(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        raise InputError(
            "files in it", file=out, expected="a new or empty folder", remedy="remove it or choose another"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: ``python -m pipeline.phantom prostatex --out data/raw/prostatex``."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.phantom", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; must be new or empty")
    parser.add_argument("--patients", type=int, default=24, help="number of patients; for brain, of pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--test", type=int, default=0, help="prostatex: number of additional patients of the challenge's test"
    )
    arguments = parser.parse_args(argv)
    _check_free(arguments.out)
    with atomic_folder(arguments.out) as beside:
        write_phantom(arguments.kind, beside, arguments.patients, arguments.seed, arguments.test)
        count = sum(1 for path in beside.rglob("*") if path.is_file())
        (beside / SYNTHETIC).touch()
    logging.getLogger("typhon").info("%s: %d files", arguments.out, count)


if __name__ == "__main__":
    run_cli(main)
