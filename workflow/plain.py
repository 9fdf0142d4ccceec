"""YAML of plain values that mean what was written: no key twice, no text that YAML takes for a number.

YAML 1.1 reads 010 as 8, no as false and 1:30 as 90, and nobody who names a folder or a label so means that.
"""

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.constructor import ConstructorError

REWRITTEN = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
"""Numbers to YAML whose digits are not those of their value: in base 8, or in base 60."""
TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
QUOTES = "put it in quotes"


class Loader(yaml.SafeLoader):
    """Raises MarkedYAMLError, with what to do in its ``note``, for what would not be read as written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are texts, each of which stands there once."""
        seen = set()
        for name, _ in node.value:
            if name.tag == MERGE:
                continue
            if isinstance(name, yaml.ScalarNode) and name.tag != TEXT:
                kind = name.tag.rpartition(":")[2]
                raise _refused(f"the key {name.value}, to YAML no text but {kind}", name, QUOTES)
            key = self.construct_object(name, deep=True)
            if not isinstance(key, Hashable):
                break  # which the constructor refuses by itself
            if key in seen:
                raise _refused(f"the key {key} twice", name)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A number that is written as people write it."""
        whole = node.tag.endswith("int")
        read: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if REWRITTEN.fullmatch(node.value):
            remedy = f"{QUOTES} if it is text; write a number in plain digits"
            raise _refused(f"{node.value}, which YAML reads as {read}", node, remedy)
        return read

    def odd(self, node: yaml.Node) -> None:
        """A date, a set, bytes: nothing that a setting can be."""
        written = node.value if isinstance(node.value, str) else "a value"
        kind = node.tag.rpartition(":")[2]
        raise _refused(f"{written}, to YAML no text but {kind}", node, QUOTES)


for _kind in ("int", "float"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", Loader.number)
for _kind in ("timestamp", "binary", "set", "omap", "pairs", "value"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", Loader.odd)


def _refused(problem: str, node: yaml.Node, remedy: str | None = None) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark, remedy)


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
