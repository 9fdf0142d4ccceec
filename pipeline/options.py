"""Options of a kind of data set: the typed fields of a dataclass, each with its meaning in a text below it.

They are keys of the kind in ``collections`` of the config and flags of ``python -m pipeline.findings``, so
that neither is written down again. Texts below fields are no part of the digest of a step.
"""

import argparse
import ast
import dataclasses
import functools
import itertools
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.errors import ConfigError

Options = TypeVar("Options")


def meanings(kind: type) -> dict[str, str]:
    """The text below each field in the body of a class, as one line; none of a class that is made."""
    written, found = _classes(kind.__module__).get(kind.__name__), {}
    for field, text in itertools.pairwise(written.body if written else ()):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            found[ast.unparse(field.target)] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(Path(str(sys.modules[module].__file__)).read_bytes())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def add_flags(parser: argparse.ArgumentParser, kind: type, names: Sequence[str] = ()) -> None:
    """A flag for each field, or for those in ``names``; a mapping is words like ``NAME=VALUE``."""
    told, hints = meanings(kind), get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        flag = f"--{field.name.replace('_', '-')}"
        required = field.default is field.default_factory is dataclasses.MISSING
        if not names or field.name in names:
            values = _words(flag, _bare(hints[field.name]))
            text = told[field.name].replace("%", "%%")
            parser.add_argument(flag, required=required, default=argparse.SUPPRESS, help=text, **values)


def given(kind: type[Options], flags: argparse.Namespace) -> Options:
    """The options that flags of :func:`add_flags` give, with the defaults of those that were not given."""
    names = [field.name for field in dataclasses.fields(kind) if hasattr(flags, field.name)]  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    return kind(**{name: _mapped(hints[name], getattr(flags, name)) for name in names})


def _mapped(hint: Any, value: Any) -> Any:
    return dict(value) if get_origin(_bare(hint)) is dict else value


def _bare(hint: Any) -> Any:
    """A type without its limits, and without None."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
        return _bare(hint)
    return hint


def _words(flag: str, hint: Any) -> dict[str, Any]:
    """How argparse reads a value of a bare type."""
    origin, parts = get_origin(hint), [_bare(part) for part in get_args(hint)]
    if origin is Literal:
        return {"type": type(parts[0]), "choices": parts}
    if origin is list:
        return {"nargs": "+", **_words(flag, parts[0])}
    if origin is dict:
        return {"nargs": "+", "action": "extend", "metavar": "NAME=VALUE", "type": _pair(flag, *parts)}
    if hint not in (str, int, float):
        raise TypeError(f"{flag}: no flag can hold {hint}")
    return {"type": hint}


def _pair(flag: str, name: Any, value: Any) -> Callable[[str], tuple[str, Any]]:
    known, read = get_args(name), _words(flag, value)["type"]

    def pair(text: str) -> tuple[str, Any]:
        # What is known has no sign of equality; where any name may, it is the last that counts.
        key, _, cell = text.partition("=") if known else text.rpartition("=")
        if known and key not in known:
            raise ConfigError(key, file=flag, expected=f"one of {', '.join(known)}")
        return key, read(cell)

    return pair
