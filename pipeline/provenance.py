"""The code that a job runs, as a parameter of its rule: an edit reruns exactly the jobs that it touches.

Snakemake sees the text of a shell command, not what ``python -m model.training.train`` does.
``code("model.training.train")`` is a digest of that module and of all project modules that it imports. What
decides no bytes of a result is left out: comments, docstrings and layout, and the texts of errors, logs and
``--help``. The text of an error may stand in the reason column of a skipped table, which nothing but a person
reads.
"""

import ast
import atexit
import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ERROR_TEXTS = {"expected", "remedy"}
"""What an error tells besides what was found: keywords of the call, and names in the class."""
UNSAID = {f"{name}=''" for name in ERROR_TEXTS}
HELP_TEXTS = {"help", "description", "epilog", "metavar", "prog"}
ARGPARSE = {"ArgumentParser", "add_argument", "add_argument_group", "add_parser"}
LOGGED = {"debug", "info", "warning", "error", "exception"}


def code(*modules: str, root: Path = ROOT) -> str:
    """A digest of the import closure of ``modules`` within the project at ``root``."""
    text = "\n".join(f"{name} {_digest(name, root)}" for name in closure(*modules, root=root))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def closure(*modules: str, root: Path = ROOT, without: Sequence[str] = ()) -> list[str]:
    """The modules at ``root`` that these may import, and these, sorted; none in packages of ``without``.

    Raises ModuleNotFoundError if one of ``modules`` is not there.
    """
    pending, found = list(modules), set[str]()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += [each for each in _imported(name, root) if each.partition(".")[0] not in without]
    return sorted(found)


@functools.cache
def source(module: str, root: Path = ROOT) -> Path | None:
    """The file of a project module or package, None for anything else."""
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


class _Module(NamedTuple):
    """What there is to know of a file, whatever is around it."""

    digest: str
    """Of its code, without what decides nothing."""
    names: list[str]
    """Dotted names that it may import, of the project or not."""
    kinds: dict[str, str]
    """Its plain kinds of errors by name."""


@functools.cache
def _imported(module: str, root: Path) -> tuple[str, ...]:
    """The project modules that one imports."""
    return tuple(name for name in _read(module, root).names if source(name, root))


@functools.cache
def _digest(module: str, root: Path) -> str:
    """The digest of one module and of the kinds of errors that it imports."""
    read = _read(module, root)
    text = read.digest + "".join(_kind(name, root) for name in read.names)
    return hashlib.sha256(text.encode()).hexdigest()


def _kind(name: str, root: Path) -> str:
    """What a kind of error is that is imported by its dotted name; empty for anything else."""
    module, _, kind = name.rpartition(".")
    return _read(module, root).kinds.get(kind, "") if module and source(module, root) else ""


@functools.cache
def _read(module: str, root: Path) -> _Module:
    path = source(module, root)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} below {root}")
    content = path.read_bytes()
    key, known = hashlib.sha256(content).hexdigest(), _remembered()
    # The last used comes last: it stays the longest.
    known[key] = known.pop(key) if key in known else _parse(content, path)
    return known[key]


def _parse(content: bytes, path: Path) -> _Module:
    tree = ast.parse(content, path)
    names = list(dict.fromkeys(_imports(tree)))
    kinds = [part for part in tree.body if isinstance(part, ast.ClassDef) and _is_kind(part)]
    silent = {part.name: ast.dump(_Silence().visit(part)) for part in kinds}
    text = ast.dump(_Silence().visit(tree))
    return _Module(hashlib.sha256(text.encode()).hexdigest(), names, silent)


MEMORY = Path(__file__).parent / "__pycache__" / f"provenance.{sys.implementation.cache_tag}.json"
"""What was read of files, by their SHA-256: parsing all of them takes a second of each start."""
MOST = 1000
"""Files that are remembered."""


@functools.cache
def _remembered() -> dict[str, _Module]:
    """What processes before this one read, with the code that is here; kept for those after it."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    try:
        modules = {key: _Module(*module) for key, module in json.loads(MEMORY.read_bytes())[own].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, of other code, or damaged
        modules = {}
    atexit.register(_remember, own, modules, len(modules))
    return modules


def _remember(own: str, modules: dict[str, _Module], known: int) -> None:
    """Write the memory if it has grown and can be written."""
    if len(modules) == known or sys.dont_write_bytecode:
        return
    beside = MEMORY.with_name(f"{MEMORY.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        MEMORY.parent.mkdir(exist_ok=True)
        beside.write_text(json.dumps({own: dict(list(modules.items())[-MOST:])}), encoding="utf-8")
        beside.replace(MEMORY)


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


class _Silence(ast.NodeTransformer):
    """Takes out of a tree what only a person reads.

    By what a text is for, never by what it says: a constant that goes anywhere else counts as code, and so do
    the values that are put into a text.
    """

    def visit_Module(self, node: ast.Module) -> ast.Module:
        # Who imports a kind of error counts it; the others need not know that there is one.
        named = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        kinds = (part for part in node.body if isinstance(part, ast.ClassDef) and _is_kind(part))
        unnamed = [part for part in kinds if part.name not in named]
        node.body = [part for part in self._body(node) if part not in unnamed]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.body = self._body(node)
        if node.name.endswith("Error"):
            node.body = [part for part in node.body if _assigned(part) not in ERROR_TEXTS]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = self._body(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.body = self._body(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ARGPARSE:
            node.keywords = [word for word in node.keywords if word.arg not in HELP_TEXTS]
        elif name.endswith("Error"):
            node.args = [_muted(value) for value in node.args]
            for word in node.keywords:
                word.value = _muted(word.value) if word.arg in ERROR_TEXTS else word.value
            node.keywords = [word for word in node.keywords if ast.unparse(word) not in UNSAID]
        elif name in LOGGED and isinstance(node.func, ast.Attribute) and _is_log(node.func.value):
            node.args = [_muted(value) for value in node.args[:1]] + node.args[1:]
        return node

    def _body(self, node: Any) -> list[ast.stmt]:
        self.generic_visit(node)
        return [part for part in node.body if not _is_text(part)]


def _is_kind(node: ast.ClassDef) -> bool:
    """Whether a class is one more kind of InputError with a code and texts, and nothing else."""
    return [ast.unparse(base) for base in node.bases] == ["InputError"] and all(
        _assigned(part) in {*ERROR_TEXTS, "code"} or isinstance(part, ast.Pass) or _is_text(part)
        for part in node.body
    )


def _assigned(node: ast.stmt) -> str:
    """The name to which a statement assigns a text; else empty."""
    if (
        isinstance(node, ast.Assign)
        and isinstance(target := node.targets[0], ast.Name)
        and _is_constant(node.value)
    ):
        return target.id
    return ""


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_log(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("log", "logging")


def _muted(node: ast.expr) -> ast.expr:
    """An expression without the words of the texts that it is put together from."""
    if _is_constant(node):
        return ast.Constant("")
    if isinstance(node, ast.JoinedStr):
        return ast.JoinedStr([value for value in node.values if not isinstance(value, ast.Constant)])
    if isinstance(node, ast.BinOp):
        return ast.BinOp(_muted(node.left), node.op, _muted(node.right))
    if isinstance(node, ast.IfExp):
        return ast.IfExp(node.test, _muted(node.body), _muted(node.orelse))
    return node


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a lone string, such as a docstring: it does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
