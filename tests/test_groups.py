"""Findings whose patient nobody knows: what files and DICOM headers say of who belongs together."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline import findings as findings_step
from pipeline.phantom import Geometry, write_ct_series
from tests.test_enhanced import frame, write
from tests.test_table import run_csv, source_of

RNG = np.random.default_rng(0)


def ct(folder: Path, patient: str, **layout: str) -> None:
    """A series of two slices that look like no other, far apart in it."""
    volume = RNG.integers(-1000, 1000, (2, 64, 64)).astype("f4")
    write_ct_series(
        folder, volume, Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1), 3), patient_id=patient, **layout
    )


def grouped(raw: Path, rows: str) -> list[str]:
    """The groups of rows ``image,patient_id``."""
    lines = [f"{row},{number},1\n" for number, row in enumerate(rows.split())]
    (raw / "own.csv").write_text("image,patient_id,finding_id,label\n" + "".join(lines))
    found = run_csv(raw)
    assert findings_step.group(found, source_of(raw)) == []  # nothing is alike
    return [row["group_id"] for row in found.rows]


@pytest.mark.parametrize(
    ("layout", "joined"),
    [
        (("P", "P", "1.2.1", "1.2.2"), True),  # the patient in the header
        (("P", "Q", "1.2.1", "1.2.1"), True),  # the study
        (("P", "Q", "1.2.1", "1.2.2"), False),
        (("", "", "1.2.1", "1.2.2"), False),
        (("ANONYMOUS", "anonymous", "1.2.1", "1.2.2"), False),
    ],
)
def test_slices_of_nobody_are_grouped_by_what_the_headers_say(
    tmp_path: Path, layout: tuple[str, ...], joined: bool
) -> None:
    for folder, patient, study in (("a", *layout[::2]), ("b", *layout[1::2])):
        ct(tmp_path / folder, patient, study=study)
    groups = grouped(tmp_path, "a/1-01.dcm, a/1-02.dcm, b/1-01.dcm, b/1-02.dcm,")
    other = "a/1-01.dcm" if joined else "b/1-01.dcm"
    assert groups == ["a/1-01.dcm", "a/1-01.dcm", other, other]


def test_frames_of_a_series_are_one_group_whatever_else_the_headers_say(tmp_path: Path) -> None:
    for name, series in (("a", "2.25.7"), ("b", "2.25.7"), ("c", "2.25.8")):
        pixels, study = RNG.integers(0, 4000, (3, 64, 64)), f"2.25.{ord(name)}"
        tags = {"SeriesInstanceUID": series, "StudyInstanceUID": study}
        write(tmp_path / f"{name}.dcm", pixels, [frame(plane) for plane in range(3)], patient=name, **tags)
    groups = grouped(tmp_path, "a.dcm#1, a.dcm#3, b.dcm#2, c.dcm#1, c.dcm#2,")
    assert groups == ["a.dcm#1"] * 3 + ["c.dcm#1"] * 2


def test_a_slice_of_nobody_is_in_the_group_of_the_patient_of_its_volume(tmp_path: Path) -> None:
    voxels = RNG.integers(0, 255, (64, 64, 8)).astype("f4")
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "v.nii")
    (tmp_path / "own.csv").write_text(
        "image,patient_id,finding_id,label,x,y,z\nv.nii,,1,0,30,30,2\nv.nii,17,2,0,30,30,6\n"
    )
    found = run_csv(tmp_path)
    assert findings_step.group(found, source_of(tmp_path)) == []
    assert [row["group_id"] for row in found.rows] == ["17", "17"]


def test_a_slice_of_nobody_is_in_the_group_of_the_patient_of_its_series(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        ct(tmp_path / folder, folder.upper())
    assert grouped(tmp_path, "a/1-01.dcm, a/1-02.dcm,17 b/1-01.dcm,18") == ["17", "17", "18"]


def test_known_patients_are_not_joined_by_headers(tmp_path: Path) -> None:
    ct(tmp_path / "a", "P")
    assert grouped(tmp_path, "a/1-01.dcm,17 a/1-02.dcm,18") == ["17", "18"]
