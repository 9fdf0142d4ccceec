"""``operating.json`` of a run: what makes its scores probabilities, and the thresholds that it takes.

Both were chosen on validation findings; what the thresholds come to on the test stands beside them. A run
without the file, or of another state or data set than it is about, has scores only.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from model.evaluation.operating import FILE, SCHEMA
from model.evaluation.platt import Platt

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_ENDS = {"type": ["array", "null"], "items": _SHARE, "minItems": 2, "maxItems": 2}
_TESTED = {"anyOf": [_SHARE, {"type": "null"}]}
_LINE = {
    "type": ["object", "null"],
    "required": ["slope", "intercept", "prevalence"],
    "properties": {
        "slope": {"type": "number", "exclusiveMinimum": 0},
        "intercept": {"type": "number"},
        "prevalence": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "together": {"type": "boolean"},
    },
}
_POINT = {
    "type": "object",
    "required": ["point", "threshold"],
    "properties": {
        "point": {"type": "string"}, "threshold": _SHARE, "sensitivity": _TESTED, "specificity": _TESTED,
        "sensitivity95": _ENDS, "specificity95": _ENDS,
    },
}  # fmt: skip
_SET = {
    "type": "object",
    "required": ["coverage", "positive", "negative"],
    "properties": dict.fromkeys(("coverage", "positive", "negative"), _SHARE),
}
_PROBLEM = {
    "type": "object",
    "required": ["prevalence", "calibration", "points"],
    "properties": {
        "prevalence": _SHARE, "calibration": _LINE, "points": {"type": "array", "items": _POINT},
        "sets": {"type": "array", "items": _SET},
    },
}  # fmt: skip
_FILE = {
    "type": "object",
    "required": ["schema", "dataset", "state", "problems"],
    "properties": {
        "schema": {"const": SCHEMA},
        "problems": {"type": "object", "additionalProperties": _PROBLEM},
    },
}


@dataclass(frozen=True)
class OperatingSummary:
    """What a run says of the scores of one problem."""

    prevalence: float
    """Share of positives among the training findings."""
    line: Platt | None
    reason: str
    """Why there is no line."""
    points: tuple[dict[str, Any], ...]
    """Thresholds by name, with sensitivity and specificity of the method on the test."""
    sets: tuple[dict[str, float], ...] = ()
    """Coverage of conformal sets, and the scores where positive and negative ones end; not in older files."""
    together: bool = False
    """Whether the line is one of several classes, whose scores become probabilities together."""


def read(folder: Path, dataset: str, state: str) -> dict[str, OperatingSummary]:
    """Of each problem of a data set, by name (of two classes the empty one); nothing where the run has none.

    Raises ValueError with what is wrong with the file in ``folder``.
    """
    if not (folder / FILE).is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error
    wrong = best_match(Draft202012Validator(_FILE).iter_errors(found))
    if wrong is not None:
        raise ValueError(f"{'/'.join(map(str, wrong.absolute_path)) or 'the whole'}: {wrong.message}")
    if (found["dataset"], found["state"]) != (dataset, state):
        return {}
    return {
        name: OperatingSummary(
            about["prevalence"],
            Platt(**{key: about["calibration"][key] for key in _LINE["required"]})
            if about["calibration"]
            else None,
            about.get("calibration_reason", ""),
            tuple(about["points"]),
            tuple(about.get("sets", ())),
            bool((about["calibration"] or {}).get("together")),
        )
        for name, about in found["problems"].items()
    }
