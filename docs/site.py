"""What the site adds to the pages in this folder: those above it, and links that lead to them.

MkDocs calls the functions named ``on_…``. A link is written as it is on the disk, so that it works there
and where the repository is shown; here it becomes one within the site.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ABOVE = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md",
         "config/README.md": "config/README.md"}  # fmt: skip
"""Pages outside this folder, and where they are on the site."""
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r'(?<=\]\()([^)#\s"]+)|(?<=src=")([^"]+)')


def place_of(path: str) -> str:
    """Where a file of the repository is on the site."""
    return ABOVE.get(path, path.removeprefix("docs/"))


def sources(page: str) -> str:
    """The file of a page of the site, from the top of the repository."""
    return next((path for path, place in ABOVE.items() if place == page), f"docs/{page}")


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """The text of a page with everything but its code blocks changed."""
    done, parts = 0, []
    for fence in FENCE.finditer(text):
        parts += [change(text[done : fence.start()]), fence[0]]
        done = fence.end()
    return "".join([*parts, change(text[done:])])


def relinked(text: str, page: str) -> str:
    """The text of a page with its links to files as they have to be on the site."""
    folder = posixpath.dirname(sources(page))

    def target(found: re.Match[str]) -> str:
        if ":" in found[0] or found[0].startswith("/"):
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, found[0]))
        return posixpath.relpath(place_of(path), posixpath.dirname(page) or ".")

    return outside_fences(text, lambda part: LINK.sub(target, part))


def linked(page: str) -> set[str]:
    """The files of the repository that a page links to."""
    path, found = sources(page), set()

    def collect(part: str) -> str:
        for link in LINK.finditer(part):
            if ":" not in link[0]:
                found.add(posixpath.normpath(posixpath.join(posixpath.dirname(path), link[0])))
        return part

    outside_fences((ROOT / path).read_text(encoding="utf-8"), collect)
    return found


def on_files(files: Any, config: Any) -> Any:
    """Add the pages above this folder, and the files outside it that pages link to."""
    from mkdocs.structure.files import File

    for path, place in ABOVE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    wanted = set().union(*(linked(file.src_uri) for file in files.documentation_pages()))
    for path in sorted(wanted):
        if not path.startswith("docs/") and path not in ABOVE and (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page with its links as they have to be on the site."""
    return relinked(markdown, page.file.src_uri)
