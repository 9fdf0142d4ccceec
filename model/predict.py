"""Predict one new case, or a table of them, with one trained model or an ensemble.

Slice, intensity, crop and views are made by the code that made them for training, as the card of the run
says. Research software: not for diagnosis.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.device import set_up, told
from model.files.runs import DISCLAIMER, Run, agree, find
from model.inference import in_use
from model.inference.in_use import Use
from model.prediction import are_new_to, as_text, clear, of_each, write
from pipeline.card import Preprocessing, told_of_colours
from pipeline.case import has_images, prepare
from pipeline.classes import Classes
from pipeline.cli import run_cli
from pipeline.datasets.listed import IMAGE, MASK, NUMBERS, PIXELS, WORLD, image_columns, names_of
from pipeline.datasets.places import centre_of
from pipeline.datasets.table import Options
from pipeline.errors import ConfigError, EmptyError, InputError
from pipeline.files import EXTENT, SKIPPED_COLUMNS, skip, write_csv
from pipeline.options import add_flags
from pipeline.readers import labels
from pipeline.readers.names import Names
from pipeline.readers.scan import scan

log = logging.getLogger("typhon")

FIGURES = ("score", "lowest", "highest", "probability", "positive")
"""Columns of predictions.csv, of each class or label where there are several."""
NAME = {"patient_id": "case", "finding_id": "1"}
"""Ids of a case whose ids nobody gave: none of its header's or file's, which may name a person."""


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


def _found(place: Path | InputError) -> Path:
    if isinstance(place, InputError):
        raise place
    return place


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
    table = labels.read_table(
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
    masks = _places(path, table[MASK].tolist()) if MASK in table else [Path()] * len(table)
    for number, (row, each, mask, names) in enumerate(
        zip(
            table.to_dict("records"), zip(*places, strict=True), masks, drawn.to_dict("records"), strict=True
        ),
        start=1,
    ):
        ids = {name: row[name] for name in ("patient_id", "finding_id")}
        clear(folder := out / f"{number:04d}")
        try:
            files = [_found(place) for place in each]
            if centre_of(row) == MASK:
                row[MASK] = str(_found(mask).absolute())
            case = prepare(files[0] if len(files) == 1 else path.parent, row | names, how)
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
    own = how.channels if has_images(how) else ()
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
        "image, patient_id, finding_id, x,y,z or x_mm,y_mm,z_mm or mask, time, and extent",
    )  # fmt: skip
    add_flags(parser, Options, ["columns"])
    parser.add_argument(
        "--channels", nargs="+", action="extend", metavar="NAME=FILE", type=_pair,
        help="if each channel is an image of its own: its file or folder below CASE, or its column in a table"
        " (default: called as the channel)",
    )  # fmt: skip
    parser.add_argument("--at", metavar="X,Y[,Z]", help="zero-based column,row[,slice]; default: the middle")
    parser.add_argument("--mask", type=Path, help="mask of the finding, whose middle is the point")
    parser.add_argument(
        "--mask-value",
        default="",
        help="its value in the mask, or the name of its segment or ROI; default: all but 0",
    )
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
    is_table = options.case.suffix.lower() in (".csv", ".tsv", ".xlsx")
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
    if options.mask_value and not options.mask:
        raise ConfigError(options.mask_value, file="--mask-value", expected="--mask beside it")
    if options.mask and options.at is not None:
        raise ConfigError(options.at, file="--at", expected="either a point or --mask")
    if options.mask:
        row |= {MASK: str(options.mask.absolute()), "mask_value": options.mask_value}
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
