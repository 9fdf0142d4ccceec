"""JSON: one value of a document replaced or lost; also that in the header of safetensors."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 10**9, 10**30, 1.5, -0.0, float("nan"), float("inf"), "", "x", "../../x",
    "a" * 999, "\0", [], [[]], {}, [0], [None, None], {"a": 1}, ["image", "image"], [1, 0], "last", "paper",
    "40 mm", "whole",
)  # fmt: skip


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or object with every key of it."""
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from _places(node[key])


def _changed(text: bytes, random: Random) -> bytes:
    try:
        document = json.loads(text)
        places = list(_places(document))
    except (ValueError, RecursionError):
        return text
    if not places:
        return json.dumps(random.choice(ODD)).encode()
    node, key = random.choice(places)
    if random.random() < 0.2:
        del node[key]
    else:
        node[key] = random.choice(ODD)
    return json.dumps(document).encode()


def value(content: bytes, random: Random) -> bytes:
    """A document with one value replaced or lost."""
    return _changed(content, random)


def safetensors_header(content: bytes, random: Random) -> bytes:
    """The header of a file of tensors with one value replaced; its length fits."""
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    made = _changed(header, random)
    return content if made == header else len(made).to_bytes(8, "little") + made + content[8 + length :]
