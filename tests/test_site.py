"""The pages as a site: all in its navigation, no link or anchor that leads nowhere, no command that is none.

Without a network and without MkDocs; CONTRIBUTING.md has how the site is built.
"""

import contextlib
import importlib.util
import io
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

from workflow import arguments
from workflow.check import check, config_of
from workflow.run import own_word

ROOT = Path(__file__).resolve().parent.parent
SPEC = importlib.util.spec_from_file_location("site_of_docs", ROOT / "docs" / "site.py")
site = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(site)
PAGES = [*site.ABOVE, *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md")))]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PARSER = get_argument_parser()
RULES = "\n".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
TARGETS = {*re.findall(r"^ *rule (\w+):", RULES, re.MULTILINE)}
SOURCES = {
    path: path.read_text()
    for name in ("pipeline", "model", "papers", "workflow")
    for path in (ROOT / name).rglob("*.py")
}


def entries(nav):
    """The pages of a navigation, of all its levels."""
    for entry in nav:
        (value,) = entry.values()
        yield from [value] if isinstance(value, str) else entries(value)


def test_every_page_is_in_the_navigation_once_but_for_tables_of_results() -> None:
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    apart = tuple(folder.strip("/") + "/" for folder in config["not_in_nav"].split())
    results = {page for page in PAGES if site.place_of(page).startswith(apart)}
    assert Counter(entries(config["nav"])) == Counter(
        site.place_of(page) for page in PAGES if page not in results
    )


def slug(heading: str) -> str:
    """The anchor of a heading on GitHub, which the site makes in the same way."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(page: str) -> set[str]:
    text = site.FENCE.sub("", TEXTS[page])
    found = Counter(map(slug, re.findall(r"^#+ (.+)$", text, re.MULTILINE)))
    assert max(found.values()) == 1, f"{page}: a heading twice has another anchor on GitHub than on the site"
    return {*found, *re.findall(r'<a id="([^"]+)"', text)}


def test_the_anchor_of_a_heading_is_that_of_github() -> None:
    assert slug("What it does: `auto`, and why (CPU)") == "what-it-does-auto-and-why-cpu"
    assert slug("See [points](#points)") == "see-points"


@pytest.mark.parametrize("page", PAGES)
def test_every_anchor_is_there(page: str) -> None:
    lost = []
    for file, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", site.FENCE.sub("", TEXTS[page])):
        if ":" in file:
            continue
        path = (ROOT / page).parent / file if file else ROOT / page
        name = str(path.resolve().relative_to(ROOT))
        if name in TEXTS and anchor not in anchors(name):
            lost.append(f"{file}#{anchor}")
    assert lost == []


ITEM = re.compile(r"\s*([-*+]|\d+\.) ")


def swallowed(text: str) -> list[str]:
    """Items of lists that the site shows as a part of the paragraph before them, unlike GitHub."""
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", site.FENCE.sub("", text).strip("\n"))]
    return [line for first, *rest in blocks if not ITEM.match(first) for line in rest if ITEM.match(line)]


def test_an_item_needs_an_empty_line_behind_a_paragraph() -> None:
    assert swallowed("A table:\n\n  Its note.\n- **Next**: a\n  line\n2. third") == [
        "- **Next**: a",
        "2. third",
    ]
    assert swallowed("Its note.\n\n- first\n  - within\n  on\n- second\n\n```\nls\n- no item\n```\n") == []


def restarted(text: str) -> list[str]:
    """Items of numbered lists that the site counts from 1 again, since a block before them is no part of the list."""
    lost, within = [], False
    for block in re.split(r"\n\s*\n", text):
        number = re.match(r"(\d+)\. ", block)
        if number and number[1] != "1" and not within:
            lost.append(block.splitlines()[0])
        within = bool(number) or (within and block.startswith("    "))
    return lost


def test_a_block_within_a_numbered_list_is_indented_by_four() -> None:
    assert restarted("1. a\n2. b\n\n   | c |\n\n3. d\n4. e") == ["3. d"]
    assert restarted("1. a\n2. b\n\n    | c |\n\n3. d\n\nText.\n\n1. a") == []


@pytest.mark.parametrize("page", PAGES)
def test_lists_and_tables_look_alike_on_github_and_on_the_site(page: str) -> None:
    assert swallowed(TEXTS[page]) == []
    assert restarted(TEXTS[page]) == []
    assert r"\|" not in site.FENCE.sub("", TEXTS[page]), "the site shows the backslash of code in a table"


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("index.md", "[a](docs/data/own.md#b)", "[a](data/own.md#b)"),
        ("index.md", '<img src="docs/workflow.svg" width="9">', '<img src="workflow.svg" width="9">'),
        ("data/own.md", "[a](../dicom.md)", "[a](../dicom.md)"),
        ("data/own.md", "[a](../../README.md#c), [b](../../config/README.md)", "[a](../index.md#c), [b](../config/README.md)"),
        ("faq.md", "[a](../config/paper.yaml)", "[a](config/paper.yaml)"),
        ("config/README.md", "[a](../docs/faq.md), [b](paper.yaml)", "[a](../faq.md), [b](paper.yaml)"),
        ("faq.md", "[a](https://a.b/c.md), [b](#c)", "[a](https://a.b/c.md), [b](#c)"),
        ("faq.md", "```\n[a](../README.md)\n```\n[a](../README.md)", "```\n[a](../README.md)\n```\n[a](index.md)"),
    ],
)  # fmt: skip
def test_links_are_those_of_the_site(page: str, text: str, expected: str) -> None:
    assert site.relinked(text, page) == expected


def commands() -> list[tuple[str, str]]:
    """Each command in a block of shell or in a sentence, with the page that it is on."""
    found = []
    for page, text in TEXTS.items():
        for block in BLOCK.findall(text):
            block = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block, flags=re.MULTILINE | re.DOTALL).replace(
                "\\\n", " "
            )
            found += [(page, line.strip()) for line in block.splitlines() if line.strip()]
        inline = re.findall(r"`(\./run [^`]+|python -m [^`]+)`", site.FENCE.sub("", text))
        found += [(page, line.replace(" …", "")) for line in inline if not re.search(r" --\w+$", line)]
    return found


def words_of(line: str) -> list[list[str]]:
    """The words of each command of a line, without comments and where they are sent."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= {*"|;&<>"}:
            parts.append([])
        else:
            parts[-1].append(word)
    return [[word for word in part if not re.fullmatch(r"[A-Z_]+=.*", word)] for part in parts if part]


def problem(words: list[str]) -> str:
    """What is wrong with a command; empty if nothing is."""
    if words[0] in ("./run", "snakemake"):
        return problem_of_run(words[1:])
    if words[0].endswith("python") or words[0] == "python3":
        return problem_of_module(words[1:])
    return ""


def problem_of_run(words: list[str]) -> str:
    if own_word(words)[0]:
        return ""
    line = arguments.parse(words, PARSER)
    try:
        with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.redirect_stdout(io.StringIO()):
            PARSER.parse_args(line.line())
    except SystemExit as ended:
        if not ended.code:  # --version
            return ""
        return told.getvalue().splitlines()[-1].partition("error: ")[2]
    unknown = [word for word in line.targets if not re.search(r"[/.]", word) and word not in TARGETS]
    missing = [
        file
        for file in line.values("configfile") or []
        if file.startswith("config/") and not (ROOT / file).exists()
    ]
    return f"{unknown + missing}" if unknown + missing else ""


def problem_of_module(words: list[str]) -> str:
    if "-m" not in words or words[words.index("-m") + 1].partition(".")[0] not in (
        "pipeline",
        "model",
        "papers",
        "workflow",
    ):
        return ""
    module, *rest = words[words.index("-m") + 1 :]
    path = ROOT / module.replace(".", "/")
    files = [
        file
        for file in SOURCES
        if file in (path.with_suffix(".py"), path / "__main__.py", path / "__init__.py")
    ]
    if not files:
        return f"no module {module}"
    # flags that many modules share come from elsewhere; in no source at all a flag is a slip
    every = "".join(SOURCES.values())
    flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return " ".join(
        flag for flag in flags if f'"{flag}"' not in every and flag[2:].replace("-", "_") not in every
    )


def test_every_command_is_one_that_the_program_takes() -> None:
    found = commands()
    assert len(found) > 100
    wrong = [
        (page, line, told) for page, line in found for words in words_of(line) if (told := problem(words))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("./run reslts --cores 2", "['reslts']"),
        ("./run --no-such-option 1", "unrecognized arguments: --no-such-option"),
        ("./run --configfile config/none.yaml", "['config/none.yaml']"),
        ("python -m pipeline.nowhere --out a", "no module pipeline.nowhere"),
        (".venv/bin/python -m model.predict a.png --modle results/typhon", "--modle"),
        ("./run demo all && ./run -n results/typhon_auc.json  # a comment", ""),
    ],
)
def test_a_command_with_a_slip_is_found(line: str, told: str) -> None:
    assert "".join(map(problem, words_of(line))) == told


def test_the_tutorial_s_pictures_and_config_are_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXTS["docs/tutorial.md"]
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (settings,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "make_lumps.py", "exec"), {})
    table = (tmp_path / "lumps/pictures/findings.csv").read_text().splitlines()
    assert "\n".join(table[:4]) in text
    assert "007.png,P03,1,malignant,81,61" in table, "the point that is predicted"
    (tmp_path / "lumps/config.yaml").write_text(settings)
    config = config_of(["lumps/config.yaml"], [])
    monkeypatch.chdir(tmp_path / "lumps")
    told, well = check(config)
    assert well
    assert told.splitlines()[1].rpartition("  ")[0].strip() in text
    for line in re.findall(r"^(?:read|look|measure|fit|draw|in) .*?  (?:\d+)", told, re.MULTILINE):
        assert line in text, line


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_config_of_a_page_is_plain_yaml(page: str) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", TEXTS[page], re.M | re.S):
        yaml.safe_load(block)
