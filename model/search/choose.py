"""Grid search: the candidates' AUROCs in validation, the best of them as a config file, and a picture.

A candidate's figure is the mean over folds and seeds of the target's validation AUROC, per finding, of the
last state. Test findings stand in the same files and are not looked at.
"""

import argparse
import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import yaml

from model.evaluation.metrics import aurocs, macro
from model.evaluation.predictions import PredictionsError, evaluate, read_splits
from model.report.drawing import STYLE, save
from model.search.grid import Settings, candidates, nested
from model.search.picture import FIGURE, plot_candidates
from pipeline.cli import run_cli
from pipeline.files import read_csv, write_csv, write_text
from pipeline.report import page

ENDS = (FIGURE, "sd", "runs", "rank", "picked")
"""Columns of candidates.csv behind the number and the settings."""


def validation_aurocs(runs: Iterable[Path], splits: Sequence[Path], target: str) -> list[float]:
    """AUROC of the target's validation findings in each run, for those whose validation has both classes.

    Parameters
    ----------
    runs : folders ``…/fold{f}/seed{s}`` with predictions.csv.
    splits : ``…/{target}/splits/fold{f}.csv`` of all folds.

    Raises
    ------
    PredictionsError : predictions that do not fit the splits, or none of the target.
    """
    table, values = read_splits(splits), []
    for run in runs:
        found = evaluate(run, "last", table, (target, "validation"))
        if not found or found[0].findings.empty:
            raise PredictionsError("none", file=run, expected=f"validation findings of {target}")
        values.append(macro(aurocs(found[0].truth, found[0].scores())))
    return [value for value in values if value is not None]


def table(settings: Sequence[Settings], aurocs: Mapping[int, Sequence[float]]) -> list[dict[str, Any]]:
    """Rows of candidates.csv, in the order of their numbers.

    ``aurocs`` holds those of each candidate's runs; a candidate that is not there was left out and has no
    figure. The highest mean is picked, of equal ones the first.
    """
    means = {number: float(np.mean(values)) for number, values in aurocs.items()}
    order = sorted(means, key=lambda number: (-means[number], number))
    rows = []
    for number, chosen in enumerate(settings):
        cells = {key: value if isinstance(value, str) else json.dumps(value) for key, value in chosen.items()}
        row = {"candidate": number, **cells, "runs": len(aurocs.get(number, ())), "picked": 0}
        if number in means:
            values = aurocs[number]
            row |= {FIGURE: means[number], "rank": order.index(number) + 1, "picked": int(number == order[0])}
            row["sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else ""
        rows.append(row)
    return rows


def close(rows: Sequence[Mapping[str, Any]]) -> tuple[float, list[int]]:
    """The standard error of the picked candidate, and who is no more than that below it.

    NaN and nobody where there is one run only, from which no error can be told.
    """
    best = next(row for row in rows if row["picked"])
    if best["sd"] == "":
        return math.nan, []
    error = best["sd"] / math.sqrt(best["runs"])
    near = [
        row["candidate"] for row in rows if not row["picked"] and row.get(FIGURE, -1) >= best[FIGURE] - error
    ]
    return error, near


def report(rows: Sequence[Mapping[str, Any]], method: str, target: str) -> list[str]:
    """What came out, in lines for a terminal and for the head of best.yaml."""
    best = next(row for row in rows if row["picked"])
    runs = "run" if best["runs"] == 1 else "runs"
    spread = "" if best["sd"] == "" else f", sd {best['sd']:.4f}"
    lines = [
        f"Candidate {best['candidate']} picked among {len(rows)} for {method}: validation AUROC "
        f"{best[FIGURE]:.4f} on {target}, mean of {best['runs']} {runs}{spread}."
    ]
    error, near = close(rows)
    if near:
        lines.append(f"Within one standard error ({error:.4f}) of it: {_listed(near)}.")
    elif not math.isnan(error):
        lines.append(f"No other candidate is within one standard error ({error:.4f}) of it.")
    if skipped := [row["candidate"] for row in rows if FIGURE not in row]:
        lines.append(f"Left out: {_listed(skipped)}.")
    return lines


def _listed(numbers: Sequence[int]) -> str:
    return f"candidate {numbers[0]}" if len(numbers) == 1 else f"candidates {', '.join(map(str, numbers))}"


def winner(lines: Sequence[str], settings: Settings, method: str, folds: int) -> str:
    """The text of best.yaml: what the grid touches, under a comment that says how it came about."""
    said = [*lines, "Test findings were not looked at."]
    if folds > 1:
        said.append(
            "But every patient may have been in the validation of some fold: on the same folds the winner's "
            "test figure is a little too good (docs/search.md)."
        )
    said.append(f"To run it: ./run --configfile THE-CONFIG-OF-THE-SEARCH THIS-FILE results/{method}_auc.json")
    wrapped = [part for line in said for part in textwrap.wrap(line, 98)]
    head = "".join(f"# {line}\n" for line in wrapped)
    return head + yaml.safe_dump(nested(settings, method), sort_keys=False, allow_unicode=True)


def ranked(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The header and the candidates, best first, as a reader wants to see them."""
    columns = [key for key in rows[0] if key not in ENDS] + [FIGURE, "sd", "runs"]
    done = sorted(rows, key=lambda row: row.get("rank", len(rows) + row["candidate"]))
    return [columns, *([_cell(row.get(column, "")) for column in columns] for row in done)]


def as_text(cells: Sequence[Sequence[str]]) -> str:
    """The table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells
    )


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m model.search.choose", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_score = kinds.add_parser("score", help="compare the candidates and write the best")
    of_score.add_argument("--method", required=True, help="method whose settings are searched")
    of_score.add_argument("--grid", type=json.loads, required=True, help="JSON: the values of each key")
    of_score.add_argument("--skip", nargs="*", type=int, default=[], help="candidates to leave out")
    of_score.add_argument("--target", required=True, help="data set whose validation decides")
    of_score.add_argument(
        "--folder", type=Path, required=True, help="folder with candidate{n}/fold{f}/seed{s}"
    )
    of_score.add_argument("--folds", type=int, required=True, help="number of folds")
    of_score.add_argument("--seeds", nargs="+", type=int, required=True)
    of_score.add_argument(
        "--splits", nargs="+", type=Path, required=True, metavar="CSV", help="splits of the target"
    )
    of_score.add_argument("--out", type=Path, required=True, help="candidates.csv, with .html beside")
    of_score.add_argument("--best", type=Path, required=True, help="config file to write")
    of_draw = kinds.add_parser("draw", help="draw candidates.csv")
    of_draw.add_argument("--candidates", type=Path, required=True, metavar="CSV")
    of_draw.add_argument("--out", type=Path, required=True, metavar="PNG")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write candidates.csv and best.yaml, or the picture."""
    args = parse(argv)
    if args.kind == "draw":
        with mpl.rc_context(STYLE):
            save(plot_candidates(read_csv(args.candidates)), args.out)
        return
    settings = candidates(args.grid)
    aurocs = {}
    for number in sorted(set(range(len(settings))) - set(args.skip)):
        runs = [args.folder / f"candidate{number}/fold{fold}/seed{seed}"
                for fold in range(args.folds) for seed in args.seeds]  # fmt: skip
        aurocs[number] = validation_aurocs(runs, args.splits, args.target)
    if not all(aurocs.values()):
        expected = f"both classes among the validation findings of {args.target}"
        remedy = "use another split, or more data"
        raise PredictionsError("one class in each run", file=args.folder, expected=expected, remedy=remedy)
    rows = table(settings, aurocs)
    lines = report(rows, args.method, args.target)
    best = settings[next(row["candidate"] for row in rows if row["picked"])]
    write_text(args.best, winner(lines, best, args.method, args.folds))
    write_csv(args.out, ["candidate", *args.grid, *ENDS], rows)
    header, *cells = ranked(rows)
    named = [dict(zip(header, line, strict=True)) for line in cells]
    title = f"Candidates for {args.method}, validation of {args.target}"
    write_text(
        args.out.with_suffix(".html"), page.page(title, [page.table(header, named), page.bullets(lines)])
    )
    print(as_text([header, *cells]), *lines, args.best, sep="\n")


if __name__ == "__main__":
    run_cli(main)
