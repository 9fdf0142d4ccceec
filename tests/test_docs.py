"""The pages keep up with the code: error codes, links, and what a user is told to type."""

import ast
import itertools
import re
from pathlib import Path

import pytest
import yaml

from pipeline import errors
from workflow.config import checked
from workflow.run import OWN

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")])


ROW = re.compile(r"^\| `(E-[A-Z-]+)` \| (.+?) \| (.+?) \| `(\w+\.py)::(\w+)` \|$", re.MULTILINE)
"""A row of the table of codes: code, cause, cure, test."""
EXPLAINED = ROW.findall((ROOT / "docs" / "faq.md").read_text(encoding="utf-8"))


def codes() -> set[str]:
    """The codes of all kinds of errors, and of the shell script that knows none of them."""
    sources = [
        path for name in ("pipeline", "model", "papers", "workflow") for path in (ROOT / name).rglob("*.py")
    ]
    found = [re.findall(r'^    code = "(E-[A-Z-]+)"', path.read_text(), re.MULTILINE) for path in sources]
    return {*itertools.chain(*found), *re.findall(r"E-[A-Z]+", (ROOT / "run").read_text())}


def test_every_error_code_is_explained_once_and_no_other() -> None:
    assert sorted(code for code, *_ in EXPLAINED) == sorted(codes())


def test_every_class_of_errors_has_a_code_that_is_explained() -> None:
    def kinds(base: type[errors.InputError]) -> set[type[errors.InputError]]:
        return {base}.union(*map(kinds, base.__subclasses__()))

    assert {kind.code for kind in kinds(errors.InputError)} <= {code for code, *_ in EXPLAINED}


@pytest.mark.parametrize(("code", "cause", "cure", "file", "name"), EXPLAINED, ids=lambda value: value[:20])
def test_the_test_of_a_code_is_there_and_mentions_it(
    code: str, cause: str, cure: str, file: str, name: str
) -> None:
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    (test,) = (node for node in functions if node.name == name)
    first = min(node.lineno for node in (test, *test.decorator_list))
    lines = text.splitlines()[first - 1 : test.end_lineno]
    assert re.search(rf"{code}(?![A-Z])", "\n".join(lines))
    assert min(len(cause), len(cure)) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r'(?:\]\(|src=")([^)"#\s]+)', page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_own_words_of_run_are_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {word for word in OWN if f"./run {word}" not in text} == set()


def test_the_config_for_a_table_of_ones_own_is_one() -> None:
    (block,) = re.findall(r"```yaml\n(datasets: \[mine\].*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text()) | yaml.safe_load(block)
    assert checked(config)["methods"] == ["auto"]
