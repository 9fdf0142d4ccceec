"""``./run draft``: a first table of a folder of images, which needs labels alone."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from pipeline.datasets import draft
from pipeline.errors import ConfigError, EmptyError
from pipeline.files import read_csv
from pipeline.phantom import write_mr_series
from tests.test_channels import FINE, save_nifti
from tests.test_enhanced import frame, volume, write
from tests.test_segmentations import FRAME, OBLIQUE, SIZE, TWO, circle, write_rtstruct, write_seg
from tests.test_table import place, run


def drafted(raw: Path, out: Path) -> pd.DataFrame:
    draft.main([str(raw), str(out), "--processes", "1"])
    return read_csv(out)


def drawn_on(path: Path, series: str) -> None:
    """Have a mask say on which series it was drawn."""
    ds = pydicom.dcmread(path)
    item = pydicom.Dataset()
    item.SeriesInstanceUID = series
    if ds.Modality == "SEG":
        ds.ReferencedSeriesSequence = [item]
    else:
        study = pydicom.Dataset()
        study.RTReferencedSeriesSequence = [item]
        ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence = [study]
    ds.save_as(path)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two series in one folder, as an export has them, with a SEG and an RTSTRUCT of the first."""
    raw = tmp_path / "raw"
    for number, name in enumerate(("t2", "adc"), 1):
        tags = {"FrameOfReferenceUID": FRAME}
        write_mr_series(raw / name, np.ones(SIZE) * number, OBLIQUE, description=name, number=number,
                        patient_id="p", tags=tags)  # fmt: skip
        for file in sorted((raw / name).iterdir()):
            file.rename(raw / f"{name}-{file.name}")
        (raw / name).rmdir()
    series = pydicom.dcmread(next(raw.glob("t2*"))).SeriesInstanceUID
    write_seg(raw / "seg.dcm", TWO)
    write_rtstruct(raw / "rt.dcm", {"GTV": [circle(2, (10, 6), 4)]})
    for name in ("seg.dcm", "rt.dcm"):
        drawn_on(raw / name, series)
    return raw


def test_a_series_that_shares_its_folder_is_called_by_its_uid_with_each_of_its_masks(
    export, tmp_path
) -> None:
    table = drafted(export, tmp_path / "t.csv")
    uid = {name: pydicom.dcmread(next(export.glob(f"{name}*"))).SeriesInstanceUID for name in ("t2", "adc")}
    assert table[["image", "mask", "mask_value", "patient_id", "description"]].to_numpy().tolist() == [
        [uid["t2"], "rt.dcm", "", "p", "t2"],
        [uid["t2"], "seg.dcm", "Lesion", "p", "t2"],
        [uid["t2"], "seg.dcm", "Other", "p", "t2"],
        [uid["adc"], "", "", "p", "adc"],
    ]
    assert table["finding_id"].tolist() == ["1", "2", "3", "4"]
    assert set(table["label"]) == {""}
    assert table.loc[0, ["slices", "columns", "rows", "spacing_mm", "thickness_mm"]].tolist() == [
        "8", "24", "20", "0.5 × 0.75", "3",
    ]  # fmt: skip


def test_with_labels_the_draft_is_a_table_of_findings(export: Path, tmp_path: Path) -> None:
    table = drafted(export, tmp_path / "t.csv").assign(label=["0", "1", "0", "1"])
    found = run(export, table.to_csv(index=False))
    assert found.skipped == []
    marked = {row["mask_value"] or row["mask"]: row["finding_id"] for row in table.to_dict("records")}
    where = {row["finding_id"]: place(row)[:2] for row in found.rows}
    assert where[marked["Lesion"]] == (11, 7)
    assert where[marked["Other"]] == (2.5, 1.5)
    assert where[marked["rt.dcm"]] == pytest.approx((10, 6), abs=0.05)
    assert where[marked[""]] == (11.5, 9.5)  # the middle of the other series


def test_folders_files_and_times_have_names_that_a_table_understands(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number, b in enumerate((50, 400)):
        tags = {"DiffusionBValue": float(b)}
        write_mr_series(raw / f"dwi/{b}", np.ones(SIZE), OBLIQUE, description="dwi", number=3, patient_id="p",
                        first=1 + 8 * number, tags=tags, series="1.2.3.4.5.6.7")  # fmt: skip
    for b in (50, 400):
        for file in sorted((raw / f"dwi/{b}").iterdir()):
            file.rename(raw / f"dwi/{b}-{file.name}")
        (raw / f"dwi/{b}").rmdir()
    write_mr_series(raw / "t2", np.ones(SIZE), OBLIQUE, description="t2", number=1, patient_id="p")
    write_mr_series(raw / "one", np.ones(SIZE)[:1], OBLIQUE, description="one", number=9, patient_id="q")
    save_nifti(raw / "v.nii.gz", FINE)
    Image.fromarray(np.eye(60, dtype="u1")).save(raw / "a.png")
    table = drafted(raw, tmp_path / "t.csv")
    named = table[["image", "time", "patient_id", "b_value", "slices"]].to_numpy().tolist()
    (single,) = (raw / "one").iterdir()
    assert named == [
        ["a.png", "", "", "", ""],
        ["v.nii.gz", "", "", "", "10"],
        ["t2", "", "p", "", "8"],
        ["dwi", "0", "p", "50", "8"],
        ["dwi", "1", "p", "400", "8"],
        [f"one/{single.name}", "", "q", "", "1"],
    ]
    found = run(raw, table.assign(label=["0", "1"] * 3).to_csv(index=False))
    assert found.skipped == []
    assert len(found.rows) == 6


def test_stacks_of_one_file_that_have_no_names_are_told(tmp_path: Path, caplog) -> None:
    pairs = [(echo, plane) for plane in range(3) for echo in (30, 80)]
    frames = [frame(plane, echo=echo) for echo, plane in pairs]
    write(tmp_path / "raw/e.dcm", np.concatenate([volume(3)] * 2), frames)
    table = drafted(tmp_path / "raw", tmp_path / "t.csv")
    assert table["image"].nunique() == 1 < len(table)
    (line,) = [line for line in caplog.messages if "cannot tell apart; name a frame" in line]
    assert line.startswith(f"{table.loc[0, 'image']}: several rows")


def test_a_table_that_exists_is_kept(export: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("labels of a week")
    with pytest.raises(ConfigError, match="expected no such file yet, found one; name a new table"):
        drafted(export, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "labels of a week"


@pytest.mark.usefixtures("export")
@pytest.mark.parametrize(
    ("raw", "out", "words"),
    [
        ("raw/seg.dcm", "t.csv", "seg.dcm: expected a folder of images, found a file; name the folder;"),
        ("row", "t.csv", "row: expected a folder of images, found nothing of that name;"),
        ("raw", "t.xlsx", "t.xlsx: expected the suffix .csv, found .xlsx; name a CSV, which Excel opens"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_read(tmp_path, raw, out, words) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        drafted(tmp_path / raw, tmp_path / out)
    assert not (tmp_path / out).exists()


def test_a_folder_without_a_readable_image_leaves_no_table(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.png").write_text("no picture")
    with pytest.raises(EmptyError, match="expected a readable image, found none; name another folder"):
        drafted(tmp_path / "raw", tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


def test_a_segmentation_that_is_named_as_an_image_is_told_to_be_a_mask(export: Path) -> None:
    found = run(export, "image,patient_id,finding_id,label\nSEG.dcm,p,1,1\n")
    (line,) = found.skipped
    assert "found a file without one; name a DICOM SEG or RTSTRUCT in the column mask" in line["reason"]


def test_a_mask_of_no_series_of_the_folder_is_told(export: Path, tmp_path: Path, caplog) -> None:
    drawn_on(export / "rt.dcm", "1.2.3.4.5.6.7.8")
    ds = pydicom.dcmread(export / "seg.dcm")
    del ds.ReferencedSeriesSequence
    ds.save_as(export / "seg.dcm")
    assert set(drafted(export, tmp_path / "t.csv")["mask"]) == {""}
    told = [line for line in caplog.messages if "a mask of a series that is not in this folder" in line]
    assert sorted(line.partition(":")[0] for line in told) == ["rt.dcm", "seg.dcm"]


def test_names_that_a_spreadsheet_would_run_are_found_again(export: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(export / "seg.dcm")
    ds.SegmentSequence[0].SegmentLabel = "+5mm"
    ds.save_as(export / "=seg.dcm")
    for name in ("seg.dcm", "rt.dcm"):
        (export / name).unlink()
    draft.main([str(export), str(tmp_path / "t.csv"), "--processes", "1"])
    text = (tmp_path / "t.csv").read_text()
    assert ",'=seg.dcm,'+5mm,p,1,," in text
    found = run(
        export, text.replace(",p,1,,", ",p,1,0,").replace(",p,2,,", ",p,2,1,").replace(",p,3,,", ",p,3,1,")
    )
    assert found.skipped == []
    assert place(found.rows[0])[:2] == (11, 7)


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(EmptyError, match="expected image files"):
        drafted(tmp_path / "raw", tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


def test_a_uid_that_no_series_has_leaves_its_finding_out(export: Path) -> None:
    found = run(export, "image,patient_id,finding_id,label\n1.2.3.4.5.6.7.8,p,1,1\n")
    (line,) = found.skipped
    assert (line["code"], line["file"]) == ("E-IMG-MISSING", "1.2.3.4.5.6.7.8")
