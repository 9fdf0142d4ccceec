"""The fingerprint counts what was left out, and tells nothing of a person."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pipeline.files import FINDING_COLUMNS, SKIPPED_COLUMNS, read_csv, write_csv
from pipeline.report import fingerprint, fingerprint_plot
from pipeline.slice_store import write_slices
from pipeline.store import write_store

FOUND = [("A", "1", 0), ("A", "2", 1), ("B", "1", 1), ("C", "1", 0)]
"""Patient, finding and label of what was found; C is lost when patches are cut."""


def _finding(number: int, patient: str, finding: str, label: int, channel: str) -> dict[str, object]:
    spacing = "0.5" if channel == "t2" else "2"
    return {
        "patient_id": patient, "group_id": patient, "finding_id": finding, "label": label, "channel": channel,
        "file": f"{patient}/secret-{channel}-{number}.dcm", "series_uid": "1.2.840.99",
        "spacing_column_mm": spacing, "spacing_row_mm": spacing, "plane_distance_mm": f"-{number}.25",
    }  # fmt: skip


def _skipped(step: str, kind: str, patient: str, finding: str, reason: str, **more: str) -> dict[str, str]:
    case = {"patient_id": patient, "finding_id": finding, "code": "E-TEST", "reason": reason}
    return {"step": step, "kind": kind, **case, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    findings = [_finding(i, *case, channel) for i, case in enumerate(FOUND) for channel in ("t2", "dwi")]
    write_csv(tmp_path / "findings.csv", FINDING_COLUMNS, findings)
    skipped = [
        _skipped("index", "failed", "", "", "found 3 bytes; x", file="broken1"),
        _skipped("index", "failed", "", "", "found 7 bytes; x", file="broken2"),
        # One finding that is missing on both of its channels counts once.
        _skipped("findings", "failed", "D", "1", "found one 2.5 mm off; x", channel="t2"),
        _skipped("findings", "failed", "D", "1", "found one 3.5 mm off; x", channel="dwi"),
        _skipped("findings", "excluded", "E", "1", "found 'suspicious'; x"),
        _skipped("patches", "failed", "C", "1", "found a patch of one value; x"),
    ]
    write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, skipped)
    index = pd.DataFrame({"file": [str(row["file"]) for row in findings]}).assign(
        format="dicom", manufacturer="SIEMENS", model=["Skyra"] * 6 + ["TrioTim"] * 2, modality="MR",
        rows=20.0, columns=16.0, b_value=[np.nan, 800.0] * 4, patient_id="somebody", study_date="20110707",
    )  # fmt: skip
    index.to_parquet(tmp_path / "index.parquet")
    slices = ((number, np.full((20, 16), number, "f4")) for number in range(8))
    write_slices(tmp_path / "slices.h5", slices, lambda _: (0.0, 1.0), {})
    columns = ["patient_id", "group_id", "finding_id", "label"]
    kept = pd.DataFrame([[p, p, f, label] for p, f, label in FOUND[:3]], columns=columns)
    kept = kept.assign(width_mm=65.0, height_mm=65.0)
    blocks = (np.full((2, 2, 65, 65), number, "f4") for number in range(3))
    write_store(
        tmp_path / "patches.h5", kept, blocks, views=2, dataset="test", channels=["t2", "dwi"],
        normalization="series", provenance={},
    )  # fmt: skip
    return tmp_path


def _table(folder: Path) -> pd.DataFrame:
    files = ("index.parquet", "findings.csv", "slices.h5", "skipped.csv", "patches.h5")
    return fingerprint.fingerprint(*(folder / file for file in files)).astype(str)


def _run(folder: Path) -> list[bytes]:
    names = {"index": "index.parquet", "findings": "findings.csv", "slices": "slices.h5",
             "skipped": "skipped.csv", "store": "patches.h5", "out": "fingerprint.csv",
             "picture": "fingerprint.png"}  # fmt: skip
    fingerprint.main([part for name, file in names.items() for part in (f"--{name}", str(folder / file))])
    return [(folder / name).read_bytes() for name in ("fingerprint.csv", "fingerprint.png")]


def _values(table: pd.DataFrame, group: str, channel: str = "") -> dict[str, str]:
    part = table[(table["group"] == group) & (table["channel"] == channel)]
    return {f"{row.item}: {row.statistic}": str(row.value) for row in part.itertuples()}


def test_steps_count_findings_before_and_after(folder: Path) -> None:
    assert _values(_table(folder), "step") == {
        "index: files before": "10",
        "index: files after": "8",
        "findings: findings before": "6",
        "findings: findings after": "4",
        "slices: findings before": "4",
        "slices: findings after": "4",
        "patches: findings before": "4",
        "patches: findings after": "3",
    }


def test_reasons_that_differ_only_in_numbers_count_together(folder: Path) -> None:
    assert _values(_table(folder), "left out") == {
        "index: failed, E-TEST: found # bytes": "2",
        "findings: failed, E-TEST: found one # mm off": "1",
        "findings: excluded, E-TEST: found 'suspicious'": "1",
        "patches: failed, E-TEST: found a patch of one value": "1",
    }


def test_classes_and_sources_are_counted(folder: Path) -> None:
    table = _table(folder)
    assert _values(table, "class") == {
        "label 0: findings": "1", "label 0: groups": "1", "label 1: findings": "2", "label 1: groups": "2",
        "both labels: groups": "1", "all: groups": "2",
    }  # fmt: skip
    assert _values(table, "findings per patient") == {"1: patients": "1", "2: patients": "1"}
    assert _values(table, "spacing", "dwi") == {"2 × 2 mm: slices": "4"}
    assert _values(table, "size", "t2") == {"16 × 20 px: slices": "4"}
    assert _values(table, "b value", "dwi") == {"800 s/mm²: slices": "4"}
    assert _values(table, "b value", "t2") == {}
    assert _values(table, "scanner", "t2") == {"SIEMENS Skyra: slices": "3", "SIEMENS TrioTim: slices": "1"}
    assert _values(table, "distance to plane (mm)", "t2") == {": median": "1.750", ": largest": "3.250"}


def _of_people(folder: Path, kinds: list[str]) -> tuple[pd.DataFrame, str]:
    """The fingerprint, and its panel of people, where the groups of the findings are of these kinds."""
    findings = read_csv(folder / "findings.csv").assign(group_kind=[kind for kind in kinds for _ in range(2)])
    write_csv(folder / "findings.csv", FINDING_COLUMNS, findings.to_dict("records"))
    table = _table(folder)
    axes = fingerprint_plot.draw(table, "test").axes[2]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    plt.close("all")
    return table, f"{axes.get_title(loc='left')}; {', '.join(labels)}".replace("\n", " ")


def test_nobody_is_called_a_patient_where_patients_are_unknown(folder: Path) -> None:
    table, panel = _of_people(folder, ["near-duplicates"] * 4)
    assert _values(table, "findings per patient") == {}
    assert _values(table, "patients unknown") == {"all: groups": "2"}
    assert _values(table, "findings per group, patients unknown") == {"1: groups": "1", "2: groups": "1"}
    assert panel.startswith("patients unknown: 2 groups findings per group: groups;")


def test_known_patients_are_counted_beside_unknown_ones(folder: Path) -> None:
    # Findings are A 1, A 2, B 1 and C 1, which has no patches.
    assert [case[0] for case in FOUND[:3]] == ["A", "A", "B"]
    table, panel = _of_people(folder, ["patient", "patient", "near-duplicates", "patient"])
    assert _values(table, "findings per patient") == {"2: patients": "1"}
    assert _values(table, "patients unknown") == {"all: groups": "1"}
    assert panel.startswith("findings per patient: patients (patients unknown: 1 groups);")


def test_a_finding_in_the_group_of_a_patient_is_counted_with_the_patient(folder: Path) -> None:
    table, panel = _of_people(folder, ["patient", "near-duplicates", "patient", "patient"])
    assert _values(table, "findings per patient") == {"1: patients": "1", "2: patients": "1"}
    assert _values(table, "patients unknown") == {}
    assert panel.startswith("findings per patient: patients;")


def test_two_spellings_are_one_patient_of_the_fingerprint() -> None:
    kept = pd.DataFrame(
        {"patient_id": ["A", "a", "B"], "group_id": ["A", "A", "B"], "finding_id": "1", "label": 0}
    )
    rows = fingerprint.class_rows(kept, kept.assign(group_kind="patient"))
    sizes = [(row["item"], row["value"]) for row in rows if row["group"] == "findings per patient"]
    assert sizes == [(1, 1), (2, 1)]


def test_quantiles_are_those_of_slices_and_of_view_zero(folder: Path) -> None:
    table = _table(folder)
    # Slices 0, 2, 4 and 6 belong to t2, and each is as large as the others.
    assert _values(table, "intensity of slices", "t2")["50%: quantile"] == "3"
    assert _values(table, "intensity of patches", "dwi")["50%: quantile"] == "1"


def test_pixels_of_few_findings_are_kept_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SAMPLED_FINDINGS", 2)
    table = _table(folder)
    # Slices 0 and 6 of t2, and the patches of findings 0 and 2.
    assert _values(table, "intensity of slices", "t2")["25%: quantile"] == "0"
    assert _values(table, "intensity of slices", "t2")["75%: quantile"] == "6"
    assert _values(table, "intensity of patches", "dwi")["75%: quantile"] == "2"


def test_nothing_points_to_a_person_or_file(folder: Path) -> None:
    text = _table(folder).to_csv()
    assert not [word for word in ("secret", "somebody", "2011", "1.2.840", "broken") if word in text]


def test_table_and_picture_are_the_same_to_the_byte_each_time(folder: Path) -> None:
    first = _run(folder)
    assert first == _run(folder)
    assert len(read_csv(folder / "fingerprint.csv")) == len(_table(folder))


def test_choices_are_counted_by_their_reason() -> None:
    reasons = [
        "slice by instance number; here 110 HU",
        "slice by instance number; here -3 HU",
        "the last of 2",
    ]
    choices = pd.DataFrame({"channel": "ct", "reason": reasons})
    rows = list(fingerprint.choice_rows(choices))
    assert [(row["item"], row["value"]) for row in rows] == [
        ("slice by instance number", 2), ("the last of 2", 1)
    ]  # fmt: skip


def test_picture_shows_steps_and_sums_up_what_has_no_room(folder: Path) -> None:
    table = _table(folder)
    sizes = [{"group": "size", "item": f"{n} px", "channel": "t2", "statistic": "slices", "value": "1"}
             for n in range(20)]  # fmt: skip
    figure = fingerprint_plot.draw(pd.concat([table, pd.DataFrame(sizes)]), "test")
    steps, size = figure.axes[0], next(a for a in figure.axes if "image size" in a.get_title(loc="left"))
    assert [t.get_text() for t in steps.get_yticklabels()] == [
        "labelled", "after findings", "after slices", "after patches"
    ]  # fmt: skip
    assert [t.get_text() for t in size.get_yticklabels()][-1] == "15 others"
    assert len(size.patches) == fingerprint_plot.MOST_BARS
    fingerprint_plot.plt.close(figure)
