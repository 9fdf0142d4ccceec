"""The config schema, and how its parts read in a sentence; shared by the checks and the generated table."""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

SCHEMA_FILE = Path(__file__).with_name("config.schema.yaml")


@functools.cache
def load() -> dict[str, Any]:
    """Read ``workflow/config.schema.yaml``."""
    schema: dict[str, Any] = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def resolve(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of the schema with its ``$ref`` replaced; what stands beside the reference wins."""
    reference = part.get("$ref")
    if reference is None:
        return dict(part)
    target = load()["$defs"][reference.removeprefix("#/$defs/")]
    return {**resolve(target), **{key: value for key, value in part.items() if key != "$ref"}}


def leaves(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The settings below a part of the schema, as ``step.key``, with their own parts."""
    for name, child in resolve(part).get("properties", {}).items():
        full = resolve(child)
        if "properties" in full:
            yield from leaves(full, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", full


def spell(value: Any) -> str:
    """A value as it would stand in a config file.

    >>> spell([1, None, "dwi"]), spell(3e-4), spell({})
    ('[1, null, dwi]', '0.0003', '{}')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(spell, value))}]"
    return json.dumps(value)


def describe(part: Mapping[str, Any]) -> str:
    """Type and range of a part of the schema in words.

    >>> describe({"type": "integer", "minimum": 1, "maximum": 246})
    'integer, at least 1, at most 246'
    >>> describe({"enum": ["last", "best"]})
    'last or best'
    """
    part = resolve(part)
    if "const" in part:
        return spell(part["const"])
    if "enum" in part:
        return " or ".join(map(spell, part["enum"]))
    kinds = [part["type"]] if isinstance(part["type"], str) else list(part["type"])
    names = {"object": "mapping", "array": "list", "string": "text"}
    words = [" or ".join(names.get(kind, kind) for kind in kinds)]
    if "items" in part:
        words[0] = words[0].replace("list", f"list of {describe(part['items'])}")
    limits = {
        "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
        "minItems": "length at least", "maxItems": "length at most",
    }  # fmt: skip
    words += [f"{limit} {spell(part[key])}" for key, limit in limits.items() if key in part]
    words += [f"like {spell(part['examples'][0])}"] if "pattern" in part else []
    return ", ".join(words)
