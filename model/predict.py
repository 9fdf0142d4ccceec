"""Predict one new case, or a table of them, with one trained model or an ensemble.

Slice, intensity, crop and views are made by the code that made them for training, as the card of the run
says. Research software: not for diagnosis.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.baselines import mixture, nearest
from model.device import set_up, told
from model.files.runs import DISCLAIMER, Run, agree, find
from model.inference import in_use
from model.inference.in_use import Use
from model.report.saliency import draw_case, of_runs
from pipeline.card import Preprocessing, are_new, outside, told_of_colours
from pipeline.case import Case, prepare
from pipeline.classes import Classes
from pipeline.cli import run_cli
from pipeline.datasets.listed import IMAGE, NUMBERS, PIXELS, WORLD, image_columns, names_of
from pipeline.datasets.places import are_images
from pipeline.datasets.table import Options
from pipeline.errors import ConfigError, EmptyError, InputError
from pipeline.files import EXTENT, SKIPPED_COLUMNS, atomic, skip, write_csv, write_text
from pipeline.options import add_flags
from pipeline.readers import labels
from pipeline.readers.names import Names
from pipeline.readers.scan import scan
from pipeline.report.drawing import save
from pipeline.report.saw import draw

log = logging.getLogger("typhon")

VIEW_COLUMNS = ("model", "view", "rotation", "flip", "shift", "drop", "zoom")
FILES = ("prediction.json", "views.csv", "patches.npy", "network_saw.png", "saliency.png")
FIGURES = ("score", "lowest", "highest", "probability", "positive")
"""Columns of predictions.csv, of each class or label where there are several."""
NAME = {"patient_id": "case", "finding_id": "1"}
"""Ids of a case whose ids nobody gave: none of its header's or file's, which may name a person."""


def predict(case: Case, runs: Sequence[Run], dataset: str, use: Use | None = None) -> dict[str, Any]:
    """Score, what it stands for, spread and remarks of a case, as prediction.json has them.

    ``use`` is what the scores of these runs stand for; by default what lies beside them says.
    """
    use = use or in_use.read(runs, dataset)
    scores = np.array([mixture.score(run, dataset, case.patches) for run in runs])
    card, classes = runs[0].card["datasets"][dataset], runs[0].classes(dataset)
    stands_for = use.of_each(scores.mean(axis=1))
    each = {
        name: _figures(own, runs) | stands_for[name]
        for name, own in zip(classes.problems, np.moveaxis(scores, -1, 0), strict=True)
    }
    figures: dict[str, Any] = (
        {"of": classes.names[1], **each[classes.names[1]]} if classes.two else {"each": each}
    )
    if classes.kind == "classes":
        figures = {"most_probable": most_probable(each), **figures}
    remarks = {
        text: None
        for run in runs
        for text in outside(run.card["datasets"][dataset]["fingerprint"], case.measured)
    }
    if card["preprocessing"]["slice_rule"] == "paper":
        remarks["trained with slice_rule: paper; this case's slice was found by geometry"] = None
    places = case.rows[["channel", "image", "slice", "column", "row", "plane_distance_mm", "reason"]]
    return {
        "disclaimer": DISCLAIMER,
        "dataset": dataset,
        **figures,
        "outside_training": list(remarks),
        "places": places.to_dict("records"),
        "left_out": [{"code": error.code, "reason": error.reason} for error in case.left_out],
        "scores": scores.tolist(),
    }


def are_new_to(runs: Sequence[Run], dataset: str, case: Case) -> bool:
    """Whether a case has colours, which some of the runs have not met in training and see in grey."""
    return any(are_new(run.card["datasets"][dataset]["fingerprint"], case.measured) for run in runs)


def _figures(scores: np.ndarray, runs: Sequence[Run]) -> dict[str, Any]:
    """Mean, that of view 0 and the spread of the scores (models, views) of one class or label."""
    return {
        "score": float(scores.mean()),
        "single": float(scores[:, 0].mean()),
        "views": _spread(scores.mean(axis=0)),
        "models": {
            **_spread(scores.mean(axis=1)),
            "each": [
                {"model": run.name, "score": float(score)}
                for run, score in zip(runs, scores.mean(axis=1), strict=True)
            ],
        },
    }


def most_probable(each: Mapping[str, Mapping[str, Any]]) -> str:
    """The class with the highest score; of equal ones the first."""
    return max(each, key=lambda name: each[name]["score"])


def of_each(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The figures of a prediction by class or label: of two classes those of the second."""
    return dict(found["each"]) if "each" in found else {found["of"]: found}


def _spread(values: np.ndarray) -> dict[str, Any]:
    """Count, range and standard deviation (of a sample; null for one value)."""
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"count": len(values), "lowest": float(values.min()), "highest": float(values.max()), "sd": sd}


def clear(folder: Path, names: Sequence[str] = FILES) -> None:
    """Remove what was predicted before, so that it never passes for what comes."""
    for name in names:
        (folder / name).unlink(missing_ok=True)


def write(
    folder: Path, case: Case, runs: Sequence[Run], dataset: str, *, use: Use, saliency: bool = False,
    count: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Predict a case and write it to a folder; returns the prediction.

    views.csv with the score of each view, patches.npy with what the network saw, float32
    (views, channels, side, side), network_saw.png with a picture of it, on request saliency.png with what of
    view 0 the score depends on and, last, prediction.json, with as many as ``count`` of the training
    findings of the first run that are most like it.
    """
    found = predict(case, runs, dataset, use)
    if count:
        found["nearest"] = nearest.of_case(runs[0], dataset, case.patches, count)
    scores = found.pop("scores")
    columns = runs[0].classes(dataset).columns()
    rows = [
        {"model": run.name, "view": number, **dict(zip(columns, map(repr, values), strict=True))}
        | {key: value for key, value in asdict(view).items() if key in VIEW_COLUMNS}
        for run, of_run in zip(runs, scores, strict=True)
        for number, (view, values) in enumerate(zip(case.views, of_run, strict=True))
    ]
    write_csv(folder / "views.csv", [*VIEW_COLUMNS, *columns], rows)
    with atomic(folder / "patches.npy") as beside, beside.open("wb") as file:
        np.save(file, case.patches, allow_pickle=False)
    shown = (f"score {figures['score']:.3f} {name}" for name, figures in of_each(found).items())
    title = f"{dataset}: {', '.join(shown)}"
    save(draw(case, title, DISCLAIMER), folder / "network_saw.png")
    if saliency:
        draw_saliency(folder / "saliency.png", case, runs, dataset, found)
    write_text(folder / "prediction.json", json.dumps(found, indent=2, allow_nan=False) + "\n")
    return found


def draw_saliency(
    path: Path, case: Case, runs: Sequence[Run], dataset: str, found: Mapping[str, Any]
) -> None:
    """What of the un-augmented patch raises or lowers the score of the most probable class or label."""
    figures, channels = of_each(found), runs[0].preprocessing(dataset).channels
    name = most_probable(figures)
    falls = of_runs(runs, dataset, case.patches[0])[list(figures).index(name)]
    title = f"{dataset}: what raises (red) and lowers (blue) {figures[name]['single']:.3f} {name}"
    save(draw_case(case.patches[0], channels, falls, title, DISCLAIMER), path)


def as_text(found: Mapping[str, Any]) -> str:
    """A prediction for a terminal."""
    lines = []
    for each, figures in of_each(found).items():
        lines.append(f"score {figures['score']:.3f}  of: {each} ({found['dataset']})")
        lines += in_use.as_lines(figures, figures["models"]["count"])
        for name in ("views", "models"):
            part = figures[name]
            sd = "" if part["sd"] is None else f", sd {part['sd']:.3f}"
            lines.append(f"{name:8} {part['count']}, from {part['lowest']:.3f} to {part['highest']:.3f}{sd}")
    if "most_probable" in found:
        lines.insert(0, f"most probable: {found['most_probable']} ({found['dataset']})")
    for place in found["places"]:
        point = f"column {place['column']}, row {place['row']}, {place['plane_distance_mm']} mm off the plane"
        image = "; ".join(filter(None, (place["image"], place["slice"], place["reason"])))
        lines.append(f"{place['channel']:8} {image}; {point}")
    for one in found.get("nearest", {}).get("findings", []):
        ids = f"patient {one['patient_id']} finding {one['finding_id']}"
        lines.append(f"nearest  {one['distance']:.1f} {one['label'] or 'no label'}, {ids}")
    if found.get("nearest", {}).get("usual") is not None:
        lines.append(
            f"usual    {found['nearest']['usual']:.1f} from a training finding to the nearest of others"
        )
    lines += [f"OUTSIDE the training: {text}" for text in found["outside_training"]]
    lines += [f"left out: {error['code']} {error['reason']}" for error in found["left_out"]]
    return "\n".join([*lines, found["disclaimer"]])


def point_row(at: str | None, mm: bool) -> dict[str, str]:
    """The cells of a table of findings for ``--at``.

    Raises ConfigError unless it is two or three numbers.
    """
    if at is None:
        return {}
    cells = [cell.strip() for cell in at.split(",")]
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        numbers = []
    if len(numbers) not in ((3,) if mm else (2, 3)) or not np.isfinite(numbers).all():
        wanted = "x,y,z in mm" if mm else "column,row or column,row,slice"
        raise ConfigError(repr(at), file="--at", expected=wanted)
    return dict(zip(WORLD if mm else PIXELS, cells, strict=False))


def _places(path: Path, written: Sequence[str]) -> list[Path | InputError]:
    """The file or folder of each name in a table, beside which they lie, or why there is none."""
    places: list[Path | InputError] = [path.parent / name for name in written]
    lost = [number for number, name in enumerate(written) if not (name and (path.parent / name).exists())]
    if lost:  # only then is it worth looking what there is
        names = Names([file for file, size, _ in scan(path.parent) if size >= 0], path.parent, written)
    for number in lost:
        try:
            places[number] = path.parent / names.find(written[number])
        except InputError as error:
            places[number] = error
    return places


def _name(place: Path | InputError, folder: Path) -> str:
    """How findings.csv names the image of a case in a raw folder; the name in the table if there is none."""
    if isinstance(place, InputError):
        return place.file
    place, folder = place.absolute(), folder.absolute()
    return (place.relative_to(folder) if place.is_relative_to(folder) else place).as_posix()


def predict_table(
    path: Path,
    how: Preprocessing,
    runs: Sequence[Run],
    dataset: str,
    out: Path,
    columns: Mapping[str, str] | None = None,
    *,
    use: Use,
    saliency: bool = False,
    count: int = 0,
) -> None:
    """Predict each row of a table of cases; those that fail are listed in skipped.csv.

    ``columns`` are the headers by our names, where they differ. Exits with status 1 if any row fails.
    """
    images = list(images_of(how, {})) or [IMAGE]
    table = labels.read_csv(
        path, [*images, "patient_id", "finding_id"], numbers=NUMBERS, columns=columns or {}
    )
    clear(out, ("predictions.csv", "skipped.csv"))
    classes = runs[0].classes(dataset)
    rows, skipped, coloured = [], [], 0
    places = [_places(path, table[column].tolist()) for column in images]
    named = {
        column: [_name(place, path.parent) for place in own]
        for column, own in zip(images, places, strict=True)
    }
    # A training on this table draws the views by these names; what is written has the table's own ids.
    drawn = names_of(table.assign(**named)).assign(**named)
    for number, (row, each, names) in enumerate(
        zip(table.to_dict("records"), zip(*places, strict=True), drawn.to_dict("records"), strict=True),
        start=1,
    ):
        ids = {name: row[name] for name in ("patient_id", "finding_id")}
        clear(folder := out / f"{number:04d}")
        try:
            for place in each:
                if isinstance(place, InputError):
                    raise place
            case = prepare(each[0] if len(images) == 1 else path.parent, row | names, how)
            found = write(folder, case, runs, dataset, use=use, saliency=saliency, count=count)
        except InputError as error:
            skipped.append(skip("predict", error, **{**ids, "file": row["image"]}))
            log.warning("%d: %s", number, error)
            continue
        coloured += are_new_to(runs, dataset, case)
        cells = {"outside": "; ".join(found["outside_training"])}
        if "most_probable" in found:
            cells["most_probable"] = found["most_probable"]
        for name, figures in of_each(found).items():
            spread = figures["models"] if len(runs) > 1 else figures["views"]
            values = {**spread, **_told(figures)}
            cells |= {_column(what, name, classes): _cell(values[what]) for what in FIGURES}
        rows.append({"number": number, **ids, **cells})
    write_csv(out / "skipped.csv", SKIPPED_COLUMNS, skipped)
    if coloured:
        log.warning("%s", told_of_colours(coloured, len(rows)))
    if not rows:
        raise EmptyError(f"{len(skipped)} rows, all left out", file=path, expected="cases",
                         remedy=f"see {out / 'skipped.csv'}")  # fmt: skip
    columns_of = [_column(what, name, classes) for name in classes.problems for what in FIGURES]
    most = ["most_probable"] if classes.kind == "classes" else []
    write_csv(out / "predictions.csv", ["number", *ids, *most, *columns_of, "outside"], rows)
    print(f"{out / 'predictions.csv'}: {len(rows)} cases, {len(skipped)} left out\n{DISCLAIMER}")
    if skipped:
        raise SystemExit(1)


def _told(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Score, probability (for the prevalence that was given, if any) and the points where it is positive."""
    given = figures.get("given", figures)
    positive = "; ".join(point["point"] for point in figures["points"] if point["positive"])
    return {"score": figures["score"], "probability": given["probability"], "positive": positive}


def _cell(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else repr(value)


def _column(what: str, name: str, classes: Classes) -> str:
    return what if classes.two else f"{what}_{name}"


def _shares(text: str) -> float | dict[str, float]:
    """A share, or shares by class or label."""
    if "=" not in text:
        return float(text)
    pairs = [each.rpartition("=") for each in text.split(",")]
    return {name.strip(): float(share) for name, _, share in pairs}


def _pair(text: str) -> tuple[str, str]:
    name, sign, file = text.partition("=")
    if not sign or not file:
        raise ConfigError(repr(text), file="--channels", expected="NAME=FILE, such as t2=t2.nii.gz")
    return name, file


def images_of(how: Preprocessing, given: Mapping[str, str]) -> dict[str, str]:
    """The cells of a table of findings for what is ``given`` of each channel: its file, folder or column.

    Empty where channels are no images of their own. Raises ConfigError for others than those of the model.
    """
    own = how.channels if how.kind == "table" and are_images(how.channels) else ()
    if odd := [name for name in given if name not in own]:
        expected = ", ".join(own) or "none: the model has no channels that are images of their own"
        raise ConfigError(", ".join(odd), file="--channels", expected=expected)
    return {column: given.get(name, "") for name, column in zip(own, image_columns(own), strict=True)}


def _joined(argv: Sequence[str]) -> list[str]:
    """``--at -3,4,5`` as one word: argparse would take it for an option."""
    words = list(argv)
    for place in range(len(words) - 2, -1, -1):
        if words[place] == "--at":
            words[place : place + 2] = [f"--at={words[place + 1]}"]
    return words


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model.predict", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "case", type=Path, metavar="CASE",
        help="DICOM folder or file, NIfTI, MetaImage, NRRD or picture; or a CSV of cases with the columns "
        "image, patient_id, finding_id, x,y,z or x_mm,y_mm,z_mm, time, and extent",
    )  # fmt: skip
    add_flags(parser, Options, ["columns"])
    parser.add_argument(
        "--channels", nargs="+", action="extend", metavar="NAME=FILE", type=_pair,
        help="if each channel is an image of its own: its file or folder below CASE, or its column in a table"
        " (default: called as the channel)",
    )  # fmt: skip
    parser.add_argument("--at", metavar="X,Y[,Z]", help="zero-based column,row[,slice]; default: the middle")
    parser.add_argument("--time", default="", help="which time point of a volume with several, from 0")
    parser.add_argument(
        "--extent", default="",
        help="size of the patch, such as '40 mm', if each training finding had a size of its own",
    )  # fmt: skip
    parser.add_argument("--mm", action="store_true", help="--at is in millimetres: LPS, or RAS for NIfTI")
    parser.add_argument(
        "--model", type=Path, nargs="+", required=True,
        help="folders of runs, such as results/typhon/fold0/seed0, or results/typhon for all of its runs",
    )  # fmt: skip
    parser.add_argument("--dataset", help="the data set whose head predicts; default: the target of the run")
    parser.add_argument(
        "--patient-id",
        default=NAME["patient_id"],
        help="id of the patient; with --finding-id it determines the order of the views",
    )
    parser.add_argument("--finding-id", default=NAME["finding_id"], help="id of the finding")
    parser.add_argument(
        "--prevalence", type=_shares, metavar="SHARE",
        help="also give the calibrated probability for this share of positives, such as 0.01; with several"
        " classes or labels, such as benign=0.9,malignant=0.1",
    )  # fmt: skip
    parser.add_argument(
        "--saliency", action="store_true",
        help="draw saliency.png: the parts of the patch that the score depends on",
    )  # fmt: skip
    parser.add_argument(
        "--nearest", type=int, default=0, metavar="N",
        help="list this many training findings most like the case; for a probe or auto",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("prediction"), help="folder to write to")
    return parser.parse_args(_joined(argv))


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Predict a case or a table of them; write and print what comes out."""
    options = parse(sys.argv[1:] if argv is None else argv)
    if options.nearest < 0:
        raise ConfigError(str(options.nearest), file="--nearest", expected="a whole number from 0")
    set_up(0)
    log.setLevel(logging.WARNING)  # how many files a step has read is no news here
    runs = find(options.model)
    dataset = options.dataset or runs[0].card["target"]
    how = agree(runs, dataset)
    use = in_use.read(runs, dataset, options.prevalence)
    more: dict[str, Any] = {"use": use, "saliency": options.saliency, "count": options.nearest}
    is_table = options.case.suffix.lower() in (".csv", ".tsv")
    images = images_of(how, dict(options.channels or ()))
    if is_table:
        if options.at is not None:
            raise ConfigError("--at", file=options.case, expected="points in the table itself")
        columns = dict(getattr(options, "columns", ()))
        columns |= {own: images[own] or name for own, name in zip(images, how.channels, strict=False)}
        predict_table(options.case, how, runs, dataset, options.out, columns, **more)
        return
    row = {"patient_id": options.patient_id, "finding_id": options.finding_id, "time": options.time}
    if options.extent and not how.extents:
        raise ConfigError(options.extent, file="--extent", expected=f"nothing: all patches have {how.extent}")
    row[EXTENT] = options.extent
    row |= point_row(options.at, options.mm)
    row |= images
    clear(options.out)
    case = prepare(options.case, row, how)
    if are_new_to(runs, dataset, case):
        log.warning("%s", told_of_colours(1, 1))
    print(as_text(write(options.out, case, runs, dataset, **more)))
    print(options.out / "prediction.json")


if __name__ == "__main__":
    run_cli(main)
