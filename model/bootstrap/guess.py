"""Random weight guessing: many random networks, of which the one that scores best starts the training.

Hydra III, Typhon II-B. The weights of candidate n are a function of (seed, n), so only scores are kept.
"""

import argparse
import csv
import difflib
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model.bootstrap import pretrained
from model.bootstrap.candidates import Candidates, Stage, stages
from model.bootstrap.rules import RULES, Scores, scores_table
from model.bootstrap.staged import Race, Score, early_break
from model.device import set_up, told
from model.files import weights
from model.files.locked import digest
from model.files.pretrained import seen_by
from model.inference import batch_norm
from model.network import INITIALIZATIONS, Description, build, module_name
from model.training import data
from model.training.checkpoint import Folder
from model.training.records import Records
from pipeline.cli import run_cli
from pipeline.errors import InputError, SplitError
from pipeline.files import sha256, write_csv
from pipeline.provenance import code
from pipeline.splits import seen

log = logging.getLogger("typhon")


def chosen(datasets: Mapping[str, data.Dataset], names: Sequence[str] | None) -> dict[str, data.Dataset]:
    """The data sets with these names, in the order of all; InputError if one is none."""
    for name in names or ():
        if name not in datasets:
            close = difflib.get_close_matches(name, datasets, n=1)
            remedy = f"did you mean {close[0]}?" if close else ""
            raise InputError(name, expected=f"one of {', '.join(datasets)} to score", remedy=remedy)
    return {name: dataset for name, dataset in datasets.items() if names is None or name in names}


def rankable(scored: Mapping[str, Sequence[data.Part]]) -> dict[str, int]:
    """How many pairs of a positive and a negative finding each data set has that can be scored.

    With several problems as many as make the mean of their AUROCs as fine as it is. Warns of data sets that
    lack a class; SplitError if there are no others.
    """
    counts = {}
    for name, parts in scored.items():
        truth = np.concatenate([part.classes.truth(part.table) for part in parts])
        counts[name] = np.stack([(truth == answer).sum(0) for answer in (0, 1)])
    lacking = {name: count for name, count in counts.items() if not count.all()}
    found = ", ".join(f"{name}: {_short(count)}" for name, count in lacking.items())
    if len(lacking) == len(counts):
        raise SplitError(f"{found} findings to score", expected="both classes in at least one data set")
    for name in lacking:
        log.warning("%s has one class only to score (%s) and does not count in the bootstrap", name, found)
    return {
        name: int(count.prod(0).max()) * count.shape[1]
        for name, count in counts.items()
        if name not in lacking
    }


def _short(count: np.ndarray) -> str:
    """Of the first problem that lacks one, the negative and the positive findings."""
    negative, positive = count[:, (count == 0).any(0).argmax()]
    return f"{negative} negative, {positive} positive"


def search(
    kind: str, rule: str, count: int, pairs: Mapping[str, int], stages: int, score: Score
) -> list[Scores]:
    """AUROC of each candidate on each data set, or in a staged search as many as show which one is picked.

    Parameters
    ----------
    pairs : by data set, how many pairs of a positive and a negative finding make up its AUROC.
    score : AUROC of a candidate in a stage on a data set.
    """
    if kind == "exhaustive":
        return [{name: score(number, stages - 1, name) for name in pairs} for number in range(count)]
    if rule == "paper":
        return early_break(count, list(pairs), lambda number, name: score(number, stages - 1, name))
    return Race(count, {name: 1 / number for name, number in pairs.items()}, stages, score).run()


class CandidateScores:
    """The scores of candidates, each on the disk as soon as it is known: a killed run goes on after them."""

    def __init__(self, candidates: Candidates, count: int, folder: Folder) -> None:
        path = folder.path / "scores.csv"
        header = ["candidate", "stage", "dataset", "auroc", folder.digest]
        self._known, length = _read_log(path, header)
        if self._known:
            log.info("bootstrap goes on after %d scores", len(self._known))
        self._records = Records(path, header, length)
        self._candidates = candidates
        self._bar = tqdm(total=count, desc="bootstrap", disable=None)
        self._tried = 0
        self.samples = 0
        """Patches that the scores took which were asked for, those of a killed run included."""

    def __call__(self, number: int, stage: int, name: str) -> float:
        """AUROC of a candidate in a stage on a data set that has both classes."""
        self.samples += self._candidates.stages[stage].patches(name)
        if number >= self._tried:
            self._tried = number + 1
            self._bar.update()
            if self._tried % max(1, self._bar.total // 10) == 0:
                log.info("bootstrap: candidate %d of %d", self._tried, self._bar.total)
        key = (number, stage, name)
        if key not in self._known:
            value = self._candidates.score(number, name, stage)
            assert value is not None, name
            self._known[key] = value
            self._records.add(*key, value)
            self._records.sync()
        return self._known[key]

    def close(self) -> None:
        """Write what is left."""
        self._bar.close()
        self._records.close()


def _read_log(path: Path, header: Sequence[str]) -> tuple[dict[tuple[int, int, str], float], int]:
    """Complete rows of the log, and their length in bytes; nothing if another run wrote it."""
    if not path.exists():
        return {}, 0
    content = path.read_text(encoding="utf-8", errors="replace")
    whole = content[: content.rfind("\n") + 1]
    first, *rows = list(csv.reader(whole.splitlines())) or [[]]
    if first != list(header):
        log.warning("%s is void: settings, data or code are others now", path)
        return {}, 0
    try:
        known = {(int(number), int(stage), name): float(value) for number, stage, name, value in rows}
    except ValueError:
        log.warning("%s is damaged: starting over", path)
        return {}, 0
    return known, len(whole.encode())


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Write the picked network and the scores of all candidates."""
    parser = argparse.ArgumentParser(prog="python -m model.bootstrap.guess", description=__doc__)
    data.add_arguments(parser)
    parser.add_argument("--network", default="papers", metavar="NAME", help="one of docs/networks.md")
    parser.add_argument(
        "--weights", default="random",
        help="what the network begins with: random candidates, imagenet, or a file of weights; with the "
        "latter nothing is guessed, and heads are probes",
    )  # fmt: skip
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
        "--search",
        choices=("exhaustive", "staged"),
        default="exhaustive",
        help="score every candidate in full, or drop those that cannot win as soon as it shows",
    )
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
        "--initialization",
        choices=(*INITIALIZATIONS, "moments"),
        default="usual",
        help="random weights as published or as torch draws them, or --weights drawn anew with the mean and "
        "standard deviation of each layer",
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="folder for progress, removed on success"
    )
    parser.add_argument("--out", type=Path, required=True, help="picked network to write (safetensors)")
    parser.add_argument("--scores", type=Path, required=True, help="scores.csv to write")
    parser.add_argument("--seen", type=Path, help="list to write of whom the network has seen")
    options = parser.parse_args(argv)

    device = set_up(options.gpu)
    datasets = data.given(options)
    known, tables, names = seen_by(options.weights), *data.people_of(datasets, options)
    seen.check(known, tables, names, leak=options.leak, model=options.weights)
    if options.seen:
        seen.write(options.seen, [*known, seen.entry(tables, names)])
    if options.weights != "random":
        pretrained.start(options, datasets, device)
        return
    splits = {"validation": ["validation"], "paper": ["train", "validation"]}[options.data]
    scored = {
        name: [data.read_part(dataset, split, device, views=options.views) for split in splits]
        for name, dataset in chosen(datasets, options.score).items()
    }
    pairs = rankable(scored)
    calibration = batch_norm.calibration(datasets, device) if options.batch_norm == "calibrated" else None
    full = Stage(scored, calibration)
    description = Description.named(options.network, data.channels(datasets), data.side(datasets))
    network = build(datasets, description.of(data.outputs(datasets))).to(device)
    candidates = Candidates(network, options.seed, [full], options.initialization)
    if options.search == "staged":
        # Most candidates are out after the first data set, so that is the one that costs the least.
        pairs = dict(sorted(pairs.items(), key=lambda item: full.patches(item[0])))
        candidates = Candidates(network, options.seed, stages(full), options.initialization)
    facts = digest(
        code=code("model.bootstrap.guess", module_name(options.network)),
        seed=options.seed,
        score=list(scored),
        search=options.search,
        views=options.views,
        batch_norm=options.batch_norm,
        data=options.data,
        initialization=options.initialization,
        device=device.type,
        files=[sha256(path) for path in (*options.stores, *options.splits)],
        budget=sorted(options.budget),
        subset=sorted(options.subset),
    )
    count = options.candidates
    with Folder(options.checkpoint, facts) as folder:
        with closing(CandidateScores(candidates, count, folder)) as score:
            known = search(options.search, options.rule, count, pairs, len(candidates.stages), score)
        accepted = RULES[options.rule](known)
        picked = accepted[-1]
        candidates.make(picked)
        statistics = {name: candidates.table(name) for name in datasets}
        weights.write(
            options.out, weights.export(network, statistics), network.description, samples_seen=score.samples
        )
        columns = ("candidate", *scored, "minimum", "mean", "accepted", "picked")
        write_csv(options.scores, columns, scores_table(known, accepted, list(scored)))
    if options.search == "staged":
        every = count * sum(map(full.patches, pairs))
        log.info("bootstrap: %.1f %% of the patches of an exhaustive search", 100 * score.samples / every)
    log.info("bootstrap: picked candidate %d, %s", picked, known[picked])


if __name__ == "__main__":
    run_cli(main)
