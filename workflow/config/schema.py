"""The JSON schema of a config, for editors, and how its parts read in a table and in the line of an error."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pipeline.options import meanings
from workflow.config.collections import KINDS, Collection, Own
from workflow.config.experiment import Config
from workflow.config.methods import Layers, Schedule
from workflow.config.types import Section
from workflow.plain import spell

NULL = {"type": "null"}


class _Generator(GenerateJsonSchema):
    """Plainer than pydantic's own: no titles, no value twice in a list, null as one more type."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "type" not in inner:
            return {"anyOf": [inner, NULL]}
        values = {"enum": [*inner["enum"], None]} if "enum" in inner else {}
        return {**inner, "type": [inner["type"], "null"], **values}

    def list_schema(self, schema: core_schema.ListSchema) -> JsonSchemaValue:
        return {**super().list_schema(schema), "uniqueItems": True}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        found = super().dict_schema(schema)
        for pattern, child in found.pop("patternProperties", {}).items():
            found["additionalProperties"] = child
            found["propertyNames"] |= {"type": "string", "pattern": pattern}
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


@functools.cache
def load() -> dict[str, Any]:
    """The JSON schema of ``workflow.config.experiment.Config``, with the text below each key."""
    whole = Config.model_json_schema(schema_generator=_Generator)
    texts = {
        model.__name__: meanings(base) | meanings(model)
        for base in Section.__subclasses__()
        for model in (base, *base.__subclasses__())  # which may have other defaults
    }
    texts |= {part.__name__: meanings(part) for part in (Schedule, Layers)}
    common = {**meanings(Collection), **meanings(Own)}
    texts |= {name: {**meanings(kind.Options), **common} for name, kind in KINDS.items()}
    for name, part in [*whole["$defs"].items(), ("Config", whole)]:
        part.pop("title", None)
        part["description"] = _in_a_sentence(part.get("description", ""))
        for key, child in part.get("properties", {}).items():
            if "$ref" in child:
                child.pop("default", None)  # which the part itself spells out
            if key in texts.get(name, {}):
                child["description"] = texts[name][key]
    return whole


def _in_a_sentence(text: str) -> str:
    """A docstring as it reads after a semicolon."""
    text = " ".join(text.split()).removesuffix(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def resolve(part: Mapping[str, Any], value: Any = None) -> dict[str, Any]:
    """A part of the schema without references; of several alternatives that of ``value``, or all in one."""
    if "$ref" in part:
        found = resolve(load()["$defs"][part["$ref"].rpartition("/")[2]])
        return {**found, **{key: child for key, child in part.items() if key != "$ref"}}
    if "oneOf" not in part and "anyOf" not in part:
        return dict(part)
    choices = [_named(resolve(choice)) for choice in part.get("oneOf", part.get("anyOf"))]
    merged = {key: child for key, child in part.items() if key not in ("oneOf", "anyOf")}
    for choice in reversed(choices):
        kind = choice.get("properties", {}).get("kind", {})
        if "const" in kind and isinstance(value, Mapping) and kind["const"] == value.get("kind"):
            return choice
        own = {"description"} if NULL not in choices else set()
        merged = {**{key: child for key, child in choice.items() if key not in own}, **merged}
    return {**merged, "type": list(dict.fromkeys(choice["type"] for choice in choices))}


def _named(choice: dict[str, Any]) -> dict[str, Any]:
    """One of several alternatives; a word that stands beside types is one of them."""
    return {"type": choice["const"]} if "const" in choice else choice


def at(place: Sequence[int | str], config: Any) -> tuple[list[int | str], dict[str, Any]]:
    """The keys that lead to a place of ``config``, and the part of the schema there.

    ``place`` is as pydantic gives it, where alternatives in brackets stand between the keys.
    """
    path: list[int | str] = []
    part, value = resolve(load(), config), config
    for step in place:
        known = part.get("properties", {})
        if isinstance(value, dict) and (step in value or step in known):
            child = known.get(step, part.get("additionalProperties"))
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            child, value = part.get("items"), value[step]
        else:
            continue
        path.append(step)
        part = resolve(child, value) if isinstance(child, dict) else {}
    return path, part


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
    if "type" in resolve(part.get("items", {})) or "enum" in part.get("items", {}):
        words[0] = words[0].replace("list", f"list of {describe(part['items'])}")
    limits = {
        "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
        "minItems": "length at least", "maxItems": "length at most",
    }  # fmt: skip
    words += [f"{limit} {spell(part[key])}" for key, limit in limits.items() if key in part]
    words += [f"like {spell(part['examples'][0])}"] if "pattern" in part else []
    return ", ".join(words)
