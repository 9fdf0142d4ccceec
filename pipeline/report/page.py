"""A page that stands alone: HTML of headings, tables and pictures in one file, nothing of it unescaped.

What comes from a header or a table is text, and text becomes HTML only by :func:`text`.
"""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NewType

from pipeline.files import NUMBER

Html = NewType("Html", str)

STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1.2rem;
  color: #222 }
h1 { font-size: 1.6rem }
h2 { font-size: 1.2rem; margin-top: 2.2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
td { max-width: 30rem; overflow-wrap: break-word }
.right { text-align: right; white-space: nowrap }
.ok { color: #17692c }
.warning { color: #8a5a00; font-weight: 600 }
.failed { color: #b00020; font-weight: 700 }
.note { color: #555; font-size: .87rem }
img, svg { max-width: 100%; height: auto }
img { background: #fff }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .7rem }
}
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #16191d }
  a { color: #8ab4f8 }
  th, td { border-color: #444 }
  .ok { color: #7bc98f }
  .warning { color: #e3b341 }
  .failed { color: #ff7b84 }
  .note { color: #aaa }
  svg { background: #eee }
}
"""
BOX, GAP, HEIGHT = 118, 44, 96
"""Width of a box of a flow chart, width of an arrow, and height of the chart, in pixels."""


def text(value: object) -> Html:
    """Any value as HTML that shows it, whatever signs are in it."""
    return Html(html.escape(str(value)))


def paragraph(value: object, kind: str = "") -> Html:
    """A paragraph of text; ``kind`` is a class of the style."""
    return Html(f'<p class="{text(kind)}">{text(value)}</p>')


def section(title: str, *parts: Html) -> Html:
    """A heading and what stands below it."""
    return Html(f"<h2>{text(title)}</h2>\n" + "\n".join(parts))


def bullets(values: Iterable[object]) -> Html:
    """A list; nothing if it is empty."""
    items = "".join(f"<li>{text(value)}</li>" for value in values)
    return Html(f"<ul>{items}</ul>" if items else "")


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]], marked: str = "") -> Html:
    """Rows below columns; cells of the column ``marked`` have their value as their class.

    Columns of numbers and intervals stand to the right.
    """
    rows = list(rows)
    right = {name for name in columns if flush_right([str(row.get(name, "")) for row in rows])}
    head = "".join(_cell("th", name, "right" if name in right else "") for name in columns)
    body = []
    for row in rows:
        cells = []
        for name in columns:
            kind = str(row[name]) if name == marked else "right" if name in right else ""
            cells.append(_cell("td", row.get(name, ""), kind))
        body.append(f"<tr>{''.join(cells)}</tr>")
    inside = f"<thead><tr>{head}</tr></thead><tbody>\n{chr(10).join(body)}\n</tbody>"
    return Html(f'<div class="wide"><table>{inside}</table></div>')


def _cell(tag: str, value: object, kind: str) -> str:
    named = f' class="{text(kind)}"' if kind else ""
    return f"<{tag}{named}>{text(value)}</{tag}>"


def flush_right(cells: Sequence[str]) -> bool:
    """Whether a column stands to the right: it holds numbers or intervals and nothing else."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(NUMBER.fullmatch(cell) or cell.startswith("[") for cell in filled)


def folded(summary: str, *parts: Html) -> Html:
    """Parts that open on a click."""
    return Html(f"<details><summary>{text(summary)}</summary>\n{''.join(parts)}\n</details>")


def picture(path: str | Path, words: str) -> Html:
    """A PNG as part of the page, with the words for those who cannot see it."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return Html(f'<p><img alt="{text(words)}" src="data:image/png;base64,{data}"></p>')


def flow(boxes: Sequence[tuple[str, str]]) -> Html:
    """A flow chart from left to right: boxes of a number and a name."""
    parts = []
    for place, (number, name) in enumerate(boxes):
        left = place * (BOX + GAP) + 1
        middle = left + BOX / 2
        size = 20 if len(number) < 9 else 15
        parts.append(
            f'<rect x="{left}" y="1" width="{BOX}" height="{HEIGHT - 2}" fill="#f4f6f8" stroke="#667"/>'
            f'<text x="{middle}" y="42" font-size="{size}" font-weight="600">{text(number)}</text>'
            f'<text x="{middle}" y="68" font-size="13">{text(name)}</text>'
        )
        if place:
            y = HEIGHT / 2
            parts.append(
                f'<path d="M{left - GAP + 4} {y} H{left - 6}" stroke="#667" marker-end="url(#head)"/>'
            )
    width = len(boxes) * (BOX + GAP) - GAP + 2
    return Html(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}"'
        ' text-anchor="middle">'
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
        '<path d="M0 0 L6 3 L0 6" fill="none" stroke="#667"/></marker></defs>' + "".join(parts) + "</svg>"
    )


def page(title: str, parts: Sequence[Html]) -> str:
    """The whole file. Its policy forbids scripts and anything that is fetched."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n<body><h1>{text(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
