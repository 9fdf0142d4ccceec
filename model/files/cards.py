"""What the card of a run must say: a schema, checked before anything in a card is believed."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from model.network import MOST
from pipeline import card
from pipeline.classes import MOST as MOST_CLASSES
from pipeline.patches.ranges import MOST_RANGE
from pipeline.patches.views import MOST_VIEWS
from pipeline.store import AUGMENTATIONS

VERSION = 1
STATES = ("last", "best")

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXTS = {"type": ["array", "null"], "items": _TEXT}
_RANGE = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2}


def _object(**properties: Any) -> dict[str, Any]:
    """An object that has all of these, and perhaps others."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _each(schema: dict[str, Any]) -> dict[str, Any]:
    """An object of any names."""
    return {"type": "object", "additionalProperties": schema}


PREPROCESSING = _object(
    kind=_TEXT,
    channels={"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
    extent=_TEXT,
    window=_RANGE,
    intensity={"enum": ["series", "paper"]},
    slice_rule={"enum": ["geometry", "paper"]},
    axis={"enum": [0, 1, 2], "type": "integer"},
    view_seed=_COUNT,
    views={"type": "integer", "minimum": 1, "maximum": MOST_VIEWS},
) | {"additionalProperties": False}
PREPROCESSING["properties"]["side"] = {"type": "integer", "minimum": 1, "maximum": MOST["side"]}
"""Not in cards from before there was a choice."""
PREPROCESSING["properties"]["augmentation"] = {"enum": list(AUGMENTATIONS)}
PREPROCESSING["properties"]["online"] = {
    "type": ["object", "null"], "additionalProperties": False,
    "properties": {
        name: {"type": "number", "minimum": 0, "maximum": most} for name, most in MOST_RANGE.items()
    },
}  # fmt: skip
PREPROCESSING["properties"]["width"] = {"type": ["integer", "null"], "minimum": 1}
PREPROCESSING["properties"]["extents"] = {"type": "boolean"}
PREPROCESSING["properties"]["mask_extent"] = {"type": ["number", "null"], "exclusiveMinimum": 0}
FINGERPRINT = _object(**dict.fromkeys(card.KINDS, _TEXTS), **dict.fromkeys(card.MEASURES, _RANGE))
FINGERPRINT["required"] = [name for name in FINGERPRINT["required"] if name not in card.LATER]
DATASET = _object(
    collection=_each(_TEXT),
    classes={
        "type": "array",
        "items": _TEXT | {"minLength": 1},
        "minItems": 2,
        "maxItems": MOST_CLASSES,
        "uniqueItems": True,
    },
    preprocessing=PREPROCESSING,
    training={"type": "object", "additionalProperties": {"anyOf": [_COUNT, _each(_COUNT)]}},
    fingerprint=_each(FINGERPRINT),
)
DATASET["properties"]["multilabel"] = {"type": "boolean"}
"""Whether the classes are labels of which a finding may have several; absent where not."""
RUN = _object(method=_TEXT, fold=_COUNT, seed=_COUNT, state={"enum": list(STATES)})
WEIGHTS = {"type": "array", "items": _each(_TEXT)}
SCHEMA = _object(
    schema={"const": VERSION}, disclaimer=_TEXT, run=RUN, target=_TEXT,
    datasets=_each(DATASET) | {"minProperties": 1},
)  # fmt: skip
SCHEMA["properties"]["weights"] = WEIGHTS
"""Licence and citation of pretrained weights; absent where there are none."""


def _refuse(name: str) -> None:
    raise ValueError(f"the number {name}")


def read_card(path: Path) -> dict[str, Any]:
    """The card of a run; raises ValueError with what is wrong with it."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error
    if isinstance(found, dict) and found.get("schema") != VERSION:
        raise ValueError(f"schema {found.get('schema')} instead of {VERSION}")
    wrong = best_match(Draft202012Validator(SCHEMA).iter_errors(found))
    if wrong is not None:
        raise ValueError(f"{'/'.join(map(str, wrong.absolute_path)) or 'the whole'}: {wrong.message}")
    if found["target"] not in found["datasets"]:
        raise ValueError(f"no data set {found['target']}")
    for name, about in found["datasets"].items():
        if unknown := set(about["preprocessing"]["channels"]) - about["fingerprint"].keys():
            raise ValueError(f"no fingerprint of {name}, {', '.join(sorted(unknown))}")
    return found
