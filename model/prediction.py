"""What models say of one case that is cut: scores, what they stand for, and the files that show it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.baselines import mixture, nearest
from model.files.runs import DISCLAIMER, Run
from model.inference import in_use
from model.inference.in_use import Use
from model.report.saliency import draw_case, of_runs
from pipeline.card import are_new, outside
from pipeline.case import Case
from pipeline.files import atomic, write_csv, write_text
from pipeline.report.drawing import save
from pipeline.report.saw import draw

VIEW_COLUMNS = ("model", "view", "rotation", "flip", "shift", "drop", "zoom")
FILES = ("prediction.json", "views.csv", "patches.npy", "network_saw.png", "saliency.png")


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
