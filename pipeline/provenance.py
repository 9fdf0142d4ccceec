"""The code that a job runs, as a parameter of its rule: an edit reruns exactly the jobs that it touches.

Snakemake sees the text of a shell command, not what ``python -m model.train`` does. ``code("model.train")``
is a digest of that module and of all project modules that it imports; comments, docstrings and layout leave
it as it is.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def code(*modules: str, root: Path = ROOT) -> str:
    """A digest of the import closure of ``modules`` within the project at ``root``."""
    pending, closure = list(modules), set[str]()
    while pending:
        name = pending.pop()
        if name not in closure:
            closure.add(name)
            pending += _parsed(name, root)[1]
    text = "\n".join(f"{name} {_parsed(name, root)[0]}" for name in sorted(closure))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source(module: str, root: Path = ROOT) -> Path | None:
    """The file of a project module or package, None for anything else."""
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _parsed(module: str, root: Path) -> tuple[str, tuple[str, ...]]:
    """The digest of one module, and the project modules that it imports."""
    path = source(module, root)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} below {root}")
    tree = ast.parse(path.read_bytes(), path)
    imported = [name for name in _imports(tree) if source(name, root)]
    _strip_docstrings(tree)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imported)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all statements below it; not expressions, which hold none and are most of a tree."""
    yield node
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, ()):
            yield from _statements(child)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Every dotted name that an import statement may load, packages on the way included."""
    for node in _statements(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _strip_docstrings(tree: ast.Module) -> None:
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a lone string, such as a docstring: it does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
