"""A user's own class: ``module:my.file:Net`` is ``Net`` of ``my/file.py`` below the working directory.

A model file has a digest of that file and of those it imports from the same directory, so that no run
predicts with another class than it was trained with.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.networks import base, digest
from pipeline.errors import ConfigError
from pipeline.provenance import source

ARGUMENT = "my.file:Net"


def options(name: str) -> tuple[str, dict[str, Any]]:
    """The name, and the digest of the code."""
    return name, {"code": digest(f"module:{name}")}


def Extractor(channels: int, side: int, *, name: str, options: Mapping[str, Any]) -> base.Extractor:  # noqa: N802  (a class elsewhere)
    """An object of the user's class; ConfigError unless it is that class, as it was."""
    if options.get("code") != (found := digest(f"module:{name}")):
        raise ConfigError(
            f"as {found}", file=f"network module:{name}",
            expected=f"the class as the network was made with it, {options.get('code')}",
            remedy="bring that file back, or train again",
        )  # fmt: skip
    module, _, kind = name.partition(":")
    make: Any = getattr(_load(module, Path.cwd()), kind, None)
    if base.Extractor not in getattr(make, "__mro__", ()):
        raise ConfigError(str(make), file=f"network module:{name}", expected="a class, a base.Extractor")
    extractor: base.Extractor = make(channels, side)
    return extractor


def _load(module: str, root: Path) -> Any:
    """A module of a folder, never an installed one of that name."""
    path = source(module, root)
    assert path is not None
    spec = importlib.util.spec_from_file_location(f"{__name__}.{module}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(root))
    try:
        spec.loader.exec_module(found)
    finally:
        sys.path.remove(str(root))
    return found
