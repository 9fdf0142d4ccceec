"""The pages keep up with the code: error codes, links, and what a user is told to type."""

import re
from pathlib import Path

import pytest

from pipeline import errors
from workflow.run import OWN

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")])


def classes(base: type[errors.InputError]) -> set[type[errors.InputError]]:
    return {base}.union(*map(classes, base.__subclasses__()))


def test_every_error_code_is_explained() -> None:
    explained = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    assert {kind.code for kind in classes(errors.InputError) if f"`{kind.code}`" not in explained} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r'(?:\]\(|src=")([^)"#\s]+)', page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_own_words_of_run_are_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {word for word in OWN if f"./run {word}" not in text} == set()
