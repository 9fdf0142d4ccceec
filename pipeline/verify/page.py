"""What verify.html shows below its checks: counts, pictures, slices, series, duplicates, what was skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from pipeline.files import read_csv
from pipeline.readers.index import read_index
from pipeline.report import page
from pipeline.report.fingerprint import step_rows
from pipeline.splits.split import SPLITS
from pipeline.store import StoreInfo, read_info
from pipeline.verify import overlap
from pipeline.verify.checks import COLUMNS, Check
from pipeline.verify.screenshots import Shots
from pipeline.verify.shortcuts import CAPTION, Cue, cue_rows

PICTURES = {
    "red_dots.png": "Findings in their slices, and the dot as it came through crop and augmentation",
    "alignment.png": "The channels of the same findings, side by side and overlaid",
    "contact_sheet.png": "Patches of each label, as they are and augmented",
    "fingerprint.png": "Spacings, scanners, intensities and classes",
}
AUDIT_COLUMNS = (
    "patient_id", "finding_id", "channel", "geometry_instance", "paper_instance", "distance_mm",
)  # fmt: skip
LONGEST = 5000
"""Rows of a table on the page; the CSV beside it has all."""


@dataclass(frozen=True)
class Tables:
    """What the steps left in the folder of a data set."""

    folder: Path
    info: StoreInfo
    index: pd.DataFrame
    findings: pd.DataFrame
    choices: pd.DataFrame
    skipped: pd.DataFrame


def read_tables(folder: Path) -> Tables:
    """Read the tables of a data set's folder."""
    names = ("findings.csv", "choices.csv", "skipped.csv")
    tables = (read_csv(folder / name) for name in names)
    return Tables(folder, read_info(folder / "patches.h5"), read_index(folder / "index.parquet"), *tables)


def slice_audit(choices: pd.DataFrame) -> list[dict[str, object]]:
    """How far the slice of the published rule is from geometry's, in mm, per channel."""
    rows: list[dict[str, object]] = []
    listed = choices.assign(mm=pd.to_numeric(choices["distance_mm"], errors="coerce"))
    for channel, part in listed[listed["paper_instance"] != ""].groupby("channel", sort=False):
        mm = part["mm"].dropna()
        rows.append(
            {
                "channel": channel, "findings": len(part), "no such slice": len(part) - len(mm),
                "same slice": int((mm < 0.01).sum()), "median mm": f"{mm.median():.1f}",
                "mean mm": f"{mm.mean():.1f}", "largest mm": f"{mm.max():.1f}",
                "≥ 6 mm": int((mm >= 6).sum()),
            }
        )  # fmt: skip
    return rows


def series_rows(tables: Tables) -> list[dict[str, object]]:
    """The series of the raw folder by description: how many there are, and in how many findings lie."""
    dicoms = tables.index[tables.index["format"] == "dicom"].drop_duplicates("series_uid")
    chosen = dicoms["series_uid"].isin(set(tables.findings["series_uid"]))
    counts = dicoms.assign(chosen=chosen).groupby("series_description")["chosen"].agg(["size", "sum"])
    return [
        {"series": name or "(no description)", "there": row["size"], "chosen": row["sum"],
         "not chosen": row["size"] - row["sum"]}
        for name, row in counts.sort_values(["sum", "size"], ascending=False).iterrows()
    ]  # fmt: skip


def flow_boxes(tables: Tables, own: overlap.DataFolder) -> list[tuple[str, str]]:
    """The counts from files to splits, as boxes of a flow chart."""
    steps = {
        (row["item"], row["statistic"]): row["value"]
        for row in step_rows(tables.index, tables.findings, tables.skipped, tables.info.findings)
        if row["group"] == "step"
    }
    dicoms = tables.index[tables.index["format"] == "dicom"]
    used = tables.findings["file"].nunique()
    boxes = [
        (f"{steps['index', 'files before']:,}", "image files"),
        (f"{steps['index', 'files after']:,}", "read"),
        (f"{dicoms['series_uid'].nunique():,}", "series") if len(dicoms) else (f"{used:,}", "images used"),
        (f"{steps['findings', 'findings before']:,}", "findings listed"),
        (f"{steps['findings', 'findings after']:,}", "located"),
        (f"{steps['slices', 'findings after']:,}", "with slices"),
        (f"{steps['patches', 'findings after']:,}", "with patches"),
        (f"{len(tables.info.findings) * tables.info.views:,}", "patches"),
    ]
    if own.folds:
        counts = own.folds[0]["split"].value_counts()
        numbers = " / ".join(str(counts.get(name, 0)) for name in SPLITS)
        boxes.append((numbers, "train / val. / test"))
    return boxes


def _rows(table: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _folded(columns: Sequence[str], rows: Sequence[Mapping[str, object]], what: str) -> page.Html:
    more = f", the first {LONGEST} of them" if len(rows) > LONGEST else ""
    return page.folded(f"{len(rows)} {what}{more}", page.table(columns, rows[:LONGEST]))


def _pictures(folder: Path, licence: str) -> page.Html:
    parts = []
    for name, words in PICTURES.items():
        if (folder / name).exists():
            parts += [page.paragraph(words), page.picture(folder / name, words)]
    return page.section("Pictures", *parts, page.paragraph(licence, "note"))


def _slices(choices: pd.DataFrame, shots: Shots) -> page.Html:
    title = "Slices: the published rule against geometry"
    audit = slice_audit(choices)
    if not audit:
        return page.Html("")
    rows = choices[choices["paper_instance"] != ""]
    farthest = pd.to_numeric(rows["distance_mm"], errors="coerce").sort_values(ascending=False).index
    parts = [
        page.paragraph(
            "The slice nearest to the finding in space, beside InstanceNumber k + 1 of the papers."
        ),
        page.table(list(audit[0]), audit),
        _folded(AUDIT_COLUMNS, _rows(rows.loc[farthest]), "findings and channels, the farthest first"),
    ]
    if shots.found:
        parts += [
            page.paragraph(
                "Where the official screenshots were found, and how far the slices of both rules are:"
            ),
            _folded(
                list(asdict(shots.found[0])), [_short(asdict(one)) for one in shots.found], "screenshots"
            ),
        ]
    return page.section(title, *parts)


def _short(row: Mapping[str, object]) -> dict[str, object]:
    return {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()}


def _series(tables: Tables) -> page.Html:
    by = ["channel", "candidates", "reason"]
    chosen = tables.choices.assign(reason=tables.choices["reason"].str.split("; here ").str[0])
    counts = chosen.groupby(by, sort=False).size().rename("findings").reset_index()
    series = series_rows(tables)
    return page.section(
        "Series chosen and not chosen",
        page.table([*by, "findings"], _rows(counts)),
        _folded(["series", "there", "chosen", "not chosen"], series, "descriptions of series"),
    )


def _shortcuts(cues: Sequence[Cue]) -> page.Html:
    rows = cue_rows(cues)
    if not rows:
        return page.Html("")
    table = page.table(list(rows[0]), rows, marked="result")
    return page.section("Shortcuts: what tells the classes apart by itself", page.paragraph(CAPTION), table)


def _left_out(skipped: pd.DataFrame) -> page.Html:
    by = ["step", "kind", "code"]
    counts = skipped.groupby(by, sort=False).size().rename("cases").reset_index()
    # A path of a download may hold a name or a date: it stands in skipped.csv, and not in a page to pass on.
    columns = [name for name in skipped.columns if name != "file"]
    cases = _folded(columns, _rows(skipped), "cases, each with its reason")
    return page.section("Left out", page.table([*by, "cases"], _rows(counts)), cases)


def write_page(
    tables: Tables,
    own: overlap.DataFolder,
    results: Sequence[Check],
    cues: Sequence[Cue],
    shots: Shots,
    licence: str,
) -> str:
    """The page of a data set as HTML."""
    pairs = overlap.crossing(own)
    columns = ["patient_id_1", "patient_id_2", "distance", "merged", "in two splits"]
    return page.page(
        f"Can {tables.info.dataset} be trusted?",
        [
            page.table(COLUMNS, map(asdict, results), marked="result"),
            page.section("From files to splits", page.flow(flow_boxes(tables, own))),
            _pictures(tables.folder, licence),
            _shortcuts(cues),
            _slices(tables.choices, shots),
            _series(tables),
            page.section("Near duplicates", _folded(columns, pairs, "pairs under different ids")),
            _left_out(tables.skipped),
        ],
    )
