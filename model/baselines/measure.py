"""Numbers that a module measures of the stored views, as a file like that of a network's features."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from model.baselines.measures import MEASURES
from pipeline.cli import run_cli
from pipeline.errors import EmptyError
from pipeline.files import sha256
from pipeline.store import read_info, read_patches, write_embeddings

log = logging.getLogger("typhon")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the numbers of all stored views of a data set."""
    parser = argparse.ArgumentParser(prog="python -m model.baselines.measure", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--features", choices=sorted(MEASURES), required=True, help="features to measure")
    parser.add_argument("--out", type=Path, required=True, help="features to write (HDF5)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    info, measure = read_info(options.store), MEASURES[options.features]
    if not len(info.findings):
        raise EmptyError("none", file=options.store, expected="findings")
    about = {
        "dataset": info.dataset, "encoder": options.features, "store": sha256(options.store),
        "network": options.features, "weights": "none", "weights_sha256": "none",
    }  # fmt: skip
    numbers = tqdm(range(len(info.findings)), desc="measuring", unit="finding", disable=None)
    blocks = (measure.of(read_patches(options.store, [number], [info.views])) for number in numbers)
    width = len(measure.names(info.channels))
    write_embeddings(options.out, blocks, (len(info.findings), info.views, width), about)
    log.info("%s: %d findings × %d views, %d features", options.out, len(info.findings), info.views, width)


if __name__ == "__main__":
    run_cli(main)
