"""Random weight guessing: many random networks, of which the one that scores best starts the training.

Hydra III, Typhon II-B. The weights of candidate n are a function of (seed, n), so only scores are kept.
"""

import argparse
import csv
import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import trange

from model import data, statistics, weights
from model.checkpoint import Folder, digest
from model.device import set_up
from model.evaluation import evaluate
from model.metrics import auroc
from model.network import Typhon, build, initialize
from model.records import Records
from model.rules import RULES, Scores, scores_table, summary
from pipeline.errors import InputError, SplitError, run_cli
from pipeline.files import sha256, write_csv
from pipeline.provenance import code

log = logging.getLogger("typhon")


@dataclass(frozen=True)
class Candidates:
    """Random networks and the data that scores them."""

    network: Typhon
    seed: int
    scored: Mapping[str, Sequence[data.Part]]
    calibration: Mapping[str, Tensor] | None
    """Training patches of every data set for batch-norm statistics; None leaves these as in a new network."""

    def make(self, number: int) -> None:
        """Turn the network into a candidate."""
        initialize(self.network, "bootstrap", self.seed, number)

    def table(self, name: str) -> Tensor:
        """The statistics of a data set in the network as it is."""
        if self.calibration is None:
            return statistics.initial(self.network)
        # The blocks are shared, but each data set has statistics of its own in them.
        return statistics.recalibrate(self.network, self.calibration[name])

    def score(self, number: int) -> Scores:
        """AUROC per finding of a candidate on each data set; None if a class is missing."""
        self.make(number)
        return {
            name: pooled_auroc(self.network, name, self.table(name), parts)
            for name, parts in self.scored.items()
        }

    def patches(self) -> int:
        """How many patches scoring one candidate takes."""
        scored = sum(len(part.labels) for parts in self.scored.values() for part in parts)
        return scored + sum(len((self.calibration or {}).get(name, ())) for name in self.scored)


def pooled_auroc(network: Typhon, name: str, table: Tensor, parts: Sequence[data.Part]) -> float | None:
    """AUROC per finding over several parts together."""
    scores = [evaluate(network, name, table, part) for part in parts if len(part.table)]
    if not scores:
        return None
    labels = np.concatenate([score.part.table["label"] for score in scores])
    return auroc(labels, np.concatenate([score.findings for score in scores]))


def chosen(datasets: Mapping[str, data.Dataset], names: Sequence[str] | None) -> dict[str, data.Dataset]:
    """The data sets with these names, in the order of all; InputError if one is none."""
    for name in names or ():
        if name not in datasets:
            close = difflib.get_close_matches(name, datasets, n=1)
            remedy = f"did you mean {close[0]}?" if close else ""
            raise InputError(name, expected=f"one of {', '.join(datasets)} to score", remedy=remedy)
    return {name: dataset for name, dataset in datasets.items() if names is None or name in names}


def check_classes(scored: Mapping[str, Sequence[data.Part]]) -> None:
    """Warn of data sets that cannot be scored; SplitError if none can."""
    counts = {
        name: np.bincount(np.concatenate([part.table["label"] for part in parts]).astype(int), minlength=2)
        for name, parts in scored.items()
    }
    single = [name for name, count in counts.items() if not count.all()]
    found = ", ".join(f"{name}: {counts[name][0]} negative, {counts[name][1]} positive" for name in single)
    if len(single) == len(counts):
        raise SplitError(f"{found} findings to score", expected="both classes in at least one data set")
    for name in single:
        log.warning("%s has one class only to score (%s) and does not count in the bootstrap", name, found)


def score_all(candidates: Candidates, count: int, folder: Folder) -> list[Scores]:
    """Score candidates, going on where a killed run stopped."""
    names = list(candidates.scored)
    path = folder.path / "scores.csv"
    header = ["digest", folder.digest, *names]
    known, length = _read_log(path, header)
    if known:
        log.info("bootstrap goes on after %d of %d candidates", len(known), count)
    records = Records(path, header, length)
    for number in trange(len(known), count, initial=len(known), total=count, desc="bootstrap", disable=None):
        scores = candidates.score(number)
        known.append(scores)
        records.add(*("" if value is None else value for value in scores.values()))
        records.sync()
        if (number + 1) % max(1, count // 10) == 0:
            best = max(map(summary, known))
            log.info("bootstrap: %d of %d candidates, best minimum AUROC %.3f", number + 1, count, best[0])
    records.close()
    return known


def _read_log(path: Path, header: Sequence[str]) -> tuple[list[Scores], int]:
    """Complete rows of the log, and their length in bytes; nothing if another run wrote it."""
    if not path.exists():
        return [], 0
    content = path.read_text(encoding="utf-8", errors="replace")
    whole = content[: content.rfind("\n") + 1]
    first, *rows = list(csv.reader(whole.splitlines())) or [[]]
    if first != list(header):
        log.warning("%s is void: settings, data or code are others now", path)
        return [], 0
    try:
        scores = [
            dict(zip(header[2:], [float(cell) if cell else None for cell in row], strict=True))
            for row in rows
        ]
    except ValueError:
        log.warning("%s is damaged: starting anew", path)
        return [], 0
    return scores, len(whole.encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Write the picked network and the scores of all candidates."""
    parser = argparse.ArgumentParser(prog="python -m model.bootstrap", description=__doc__)
    data.add_arguments(parser)
    parser.add_argument("--seed", type=int, required=True, help="seed of the run")
    parser.add_argument(
        "--score",
        nargs="+",
        metavar="NAME",
        help="data sets that candidates are scored on, those that the method trains first; default all",
    )
    parser.add_argument("--candidates", type=int, default=200, help="how many networks to try")
    parser.add_argument(
        "--views", type=int, default=1, help="views per finding to score, at most those granted"
    )
    parser.add_argument("--rule", choices=RULES, default="minimum", help="how to pick")
    parser.add_argument(
        "--batch-norm",
        choices=("calibrated", "paper"),
        default="calibrated",
        help="statistics while scoring: of training patches, or those of a new network (0 and 1)",
    )
    parser.add_argument(
        "--data",
        choices=("validation", "paper"),
        default="validation",
        help="score on validation, or on training and validation together",
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="folder for progress, removed on success"
    )
    parser.add_argument("--out", type=Path, required=True, help="picked network to write (safetensors)")
    parser.add_argument("--scores", type=Path, required=True, help="scores.csv to write")
    options = parser.parse_args(argv)

    device = set_up(options.gpu)
    datasets = data.load(options.stores, options.splits)
    splits = {"validation": ["validation"], "paper": ["train", "validation"]}[options.data]
    scored = {
        name: [dataset.part(split, device, views=options.views) for split in splits]
        for name, dataset in chosen(datasets, options.score).items()
    }
    check_classes(scored)
    calibrated = options.batch_norm == "calibrated"
    network = build(datasets, data.channels(datasets)).to(device)
    candidates = Candidates(
        network, options.seed, scored, statistics.calibration(datasets, device) if calibrated else None
    )
    facts = digest(
        code=code("model.bootstrap"),
        seed=options.seed,
        score=list(scored),
        views=options.views,
        batch_norm=options.batch_norm,
        data=options.data,
        device=device.type,
        files=[sha256(path) for path in (*options.stores, *options.splits)],
    )
    with Folder(options.checkpoint, facts) as folder:
        scores = score_all(candidates, options.candidates, folder)[: options.candidates]
        accepted = RULES[options.rule](scores)
        columns = ("candidate", *scored, "minimum", "mean", "accepted", "picked")
        candidates.make(accepted[-1])
        tables = {name: candidates.table(name) for name in datasets}
        samples = candidates.patches() * options.candidates
        weights.write(options.out, weights.export(network, tables), samples_seen=samples)
        write_csv(options.scores, columns, scores_table(scores, accepted))
    log.info("bootstrap: picked candidate %d, %s", accepted[-1], scores[accepted[-1]])


if __name__ == "__main__":
    run_cli(main)
