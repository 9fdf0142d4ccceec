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
:root { color-scheme: light dark; --page: #fff; --shade: #0005 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1.2rem;
  color: #222 }
h1 { font-size: 1.6rem }
h2 { font-size: 1.2rem; margin-top: 2.2rem }
.wide { overflow-x: auto; background-image: linear-gradient(90deg, var(--page) 30%, transparent),
  linear-gradient(270deg, var(--page) 30%, transparent), linear-gradient(90deg, var(--shade), transparent),
  linear-gradient(270deg, var(--shade), transparent); background-repeat: no-repeat;
  background-position: -1px 0, calc(100% + 1px) 0, 0 0, 100% 0;
  background-size: 2.4rem 100%, 2.4rem 100%, .8rem 100%, .8rem 100%;
  background-attachment: local, local, scroll, scroll } /* a shade where a table goes on */
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
td { max-width: 30rem; overflow-wrap: break-word }
th { white-space: nowrap } /* a column is as wide as its name, not as the longest word of it */
.many { min-width: 48rem }
.right { text-align: right; white-space: nowrap }
.ok { color: #17692c }
.warning { color: #8a5a00; font-weight: 600 }
.failed { color: #b00020; font-weight: 700 }
.note { color: #555; font-size: .87rem }
.flow { display: flex; flex-wrap: wrap; gap: .6rem 1.6rem; list-style: none; padding: 0 1.6rem 0 0 }
.flow li { position: relative; border: 1px solid #889; padding: .4rem .7rem; text-align: center;
  font-size: .82rem }
.flow b { display: block; font-size: 1.1rem; white-space: nowrap }
.flow li:not(:last-child)::after { content: "→"; position: absolute; left: calc(100% + .35rem); top: 35% }
img { max-width: 100%; height: auto }
img { background: #fff }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .7rem }
}
@media (prefers-color-scheme: dark) {
  :root { --page: #16191d; --shade: #fff5 }
  body { color: #ddd; background: var(--page) }
  a { color: #8ab4f8 }
  th, td { border-color: #444 }
  .ok { color: #7bc98f }
  .warning { color: #e3b341 }
  .failed { color: #ff7b84 }
  .note { color: #aaa }
}
"""


FITTING = 5
"""Columns that a phone may squeeze; more than these scroll, so that intervals stay on one line."""


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
    many = ' class="many"' if len(columns) > FITTING else ""
    return Html(f'<div class="wide"><table{many}>{inside}</table></div>')


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
    """A flow chart from left to right, in several rows on a narrow page: a number and a name each."""
    steps = "".join(f"<li><b>{text(number)}</b>{text(name)}</li>" for number, name in boxes)
    return Html(f'<ol class="flow">{steps}</ol>')


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
