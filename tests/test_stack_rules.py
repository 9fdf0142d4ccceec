"""A stack is looked at before it is believed: gaps, changing spacing, mixed contrasts; by index and in mm."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.predict import main as predict
from pipeline.case import prepare
from pipeline.datasets import lungx
from pipeline.errors import GapError, InputError
from pipeline.patches import slices
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.readers import geometry, index, stacks
from pipeline.readers.pixels import read_pixels
from tests.made_runs import train, write_card, write_patches
from tests.test_case import at, at_mm, how
from tests.test_lungx import find as find_lungx
from tests.test_table import run, source_of

UPRIGHT = Geometry((0.0, 0.0, 0.0), slice_spacing=3.0)
TILTED = Geometry((10.0, -20.0, 30.0), (0.0, 1.0, 0.0), (0.6, 0.0, -0.8), (1.0, 1.0), 3.0)
HEADER = "image,patient_id,finding_id,label,x,y,z,x_mm,y_mm,z_mm\n"


def write(
    folder: Path,
    planes: Sequence[int],
    *,
    grid: Geometry = UPRIGHT,
    descending: bool = False,
    seed: int = 0,
    **options: Any,
) -> None:
    """MR slices at these multiples of 3 mm along the normal; every pixel of one is its number, plus noise."""
    values = np.random.default_rng(seed).integers(0, 9, (max(planes) + 1, 20, 24)) * 100
    values[:, :10] = np.arange(max(planes) + 1)[:, None, None]
    paths = write_mr_series(
        folder, values, grid, **{"description": "t2", "number": 1, "descending": descending} | options
    )
    for number, path in enumerate(paths if not descending else paths[::-1]):
        if number not in planes:
            path.unlink()


def by_table(raw: Path, image: str, point: tuple[float, ...], mm: bool) -> float | str:
    """The value of the slice that a table's row is placed in, or its line."""
    cells = f",,,{','.join(map(str, point))}" if mm else f"{','.join(map(str, point))},,,"
    found = run(raw, HEADER + f"{image},p,1,1,{cells}\n")
    if found.skipped:
        return f"{found.skipped[0]['code']}: {found.skipped[0]['reason']}"
    return float(read_pixels(raw / found.rows[0]["file"]).values[0, 0])


def by_case(raw: Path, image: str, point: tuple[float, ...], mm: bool) -> float | str:
    try:
        case = prepare(raw / image, at_mm(*point) if mm else at(*point), how("table", ("image",)))
    except InputError as error:
        return f"{error.code}: {error.reason}"
    return float(case.sources[0].pixels[0, 0])


WAYS = [by_table, by_case]
Way = Callable[[Path, str, tuple[float, ...], bool], float | str]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("grid", [UPRIGHT, TILTED], ids=["upright", "tilted"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("missing", [1, 4, 8])  # below the point, at it, above it
def test_an_index_into_a_stack_that_lacks_a_slice_is_refused_and_a_point_in_mm_met_if_it_is_there(
    tmp_path: Path, way: Way, grid: Geometry, descending: bool, missing: int
) -> None:
    write(tmp_path / "s", [n for n in range(11) if n != missing], grid=grid, descending=descending)
    line = way(tmp_path, "s", (5, 5, 4), False)
    assert isinstance(line, str)
    assert line.startswith("E-GEO-GAP: expected slices that an index can count, found no slice between")
    assert "download the missing slices, or give the point in mm" in line
    met = way(tmp_path, "s", tuple(np.round(grid.world(5, 5, 4), 6)), True)
    if missing == 4:
        assert isinstance(met, str)
        assert met.startswith("E-GEO-GAP: expected a slice at the point, found the nearest 3.0 mm away")
    else:
        assert met == 4


@pytest.mark.parametrize("way", WAYS)
def test_where_the_spacing_changes_half_the_local_one_decides(tmp_path: Path, way: Way) -> None:
    write(tmp_path / "s", [0, 1, 2, 4, 6, 8])  # 0, 3, 6, 12, 18 and 24 mm
    for z, plane in ((14.5, 4), (15.5, 6), (8.0, 2), (3.0, 1), (26.9, 8)):
        assert way(tmp_path, "s", (5, 5, z), True) == plane
    assert "E-LESION-OOB" in str(way(tmp_path, "s", (5, 5, 27.5), True))
    line = way(tmp_path, "s", (5, 5, 1), False)
    assert line == (
        "E-GEO-GAP: expected slices that an index can count, found a spacing that changes from 3 to 6 mm; "
        "give the point in mm"
    )


@pytest.mark.parametrize(
    ("steps", "meant"),
    [
        ([3, 3, 3], [3, 3, 3]),
        ([3, 6, 3], [3, 3, 3]),
        ([6, 3, 3], [3, 3, 3]),  # a slice below is missing, or not: then half of 3 mm is what is sure
        ([3, 3, 6], [3, 3, 3]),
        ([6, 6, 3, 3], [6, 6, 3, 3]),
        ([3, 3, 6, 6], [3, 3, 6, 6]),
        ([3, 6, 6, 3], [3, 3, 3, 3]),
        ([3, 9, 3, 6, 6], [3, 3, 3, 6, 6]),
        ([5], [5]),
        ([], []),
    ],
)
def test_a_step_between_smaller_ones_has_lost_slices(steps: list[float], meant: list[float]) -> None:
    assert geometry.steps_meant(np.array(steps, float)).tolist() == meant


@pytest.mark.parametrize(
    ("positions", "regular"),
    [
        ([0, 3, 6, 9], True),
        ([0, 3.1, 6, 9.05], True),
        ([0, 3, 6, 12], False),
        ([0, 3, 7, 10], False),
        ([4], True),
    ],
)
def test_regular_is_what_lies_at_one_distance_but_for_rounding(positions: list[float], regular: bool) -> None:
    assert geometry.is_regular(np.array(positions, float)) is regular


DIFFERENT: dict[str, dict[str, Any]] = {
    "ImageType": {"tags": {"ImageType": ["DERIVED", "SECONDARY", "ADC"]}},
    "SeriesDescription": {"description": "ADC"},
    "SeriesNumber": {"number": 7},
    "EchoTime": {"tags": {"EchoTime": "120"}},
    "EchoNumbers": {"tags": {"EchoNumbers": "2"}},
    "DiffusionBValue": {"b_values": (800,), "tags": {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"]}},
    "InversionTime": {"tags": {"InversionTime": "900"}},
    "FlipAngle": {"tags": {"FlipAngle": "15"}},
    "SequenceName": {"tags": {"SequenceName": "*ep_b800t"}},
    "ConvolutionKernel": {"tags": {"ConvolutionKernel": ["B70", "3"]}},
    "Modality": {"tags": {"Modality": "PT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}},
    "StudyInstanceUID": {"tags": {"StudyInstanceUID": "2.25.9"}},
    "AcquisitionNumber": {"tags": {"AcquisitionNumber": 2}},
    "TemporalPositionIdentifier": {"tags": {"TemporalPositionIdentifier": 2}},
}

IN_TURNS = {"AcquisitionNumber", "TemporalPositionIdentifier"}
"""Half a step apart they are one regular stack, acquired in turns."""
NUMBERED = {"DiffusionBValue", *IN_TURNS}


def write_mixed(raw: Path, differs: str, up: float = 1.0) -> None:
    """One series: planes at 0, 3, 6 … mm, and others ``up`` mm above them that differ in one tag."""
    other = Geometry((0.0, 0.0, up), slice_spacing=3.0)
    study, series = "2.25.1", "2.25.2"
    write(raw / "s" / "a", range(6), study=study, series=series)
    write(raw / "s" / "b", range(6), study=study, series=series, grid=other, first=50, **DIFFERENT[differs])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("differs", "up"),
    [(name, up) for name in DIFFERENT for up in (1.0, 1.5, 0.0) if up != 1.5 or name not in IN_TURNS],
)
def test_a_series_of_two_contrasts_is_refused_with_what_differs(
    tmp_path: Path, way: Way, differs: str, up: float
) -> None:
    write_mixed(tmp_path, differs, up)
    for mm in (False, True):
        line = str(way(tmp_path, "s", (5, 5, 3), mm))
        assert line.startswith(
            f"E-LESION-NOSERIES: expected one series of one contrast in the folder, found 2 that differ in {differs}"
        )
        assert ("say which in the column time" in line) == (differs in NUMBERED)


@pytest.mark.parametrize("differs", DIFFERENT)
def test_the_statistics_of_a_slice_are_those_of_its_contrast(tmp_path: Path, differs: str) -> None:
    write_mixed(tmp_path, differs)
    table = source_of(tmp_path).index
    rows = table[table["file"].str.startswith("s/b/")].iloc[:1].assign(slice="")
    (task,) = slices.tasks(rows, table)
    assert sorted(task.files) == sorted(table["file"][table["file"].str.startswith("s/b/")])


def test_two_acquisitions_that_follow_each_other_are_one_stack(tmp_path: Path) -> None:
    write(tmp_path / "s", range(6), tags={"AcquisitionNumber": lambda plane: 1 + (plane > 2)})
    assert by_table(tmp_path, "s", (5, 5, 4), False) == 4


def test_slices_that_were_acquired_in_turns_are_one_stack(tmp_path: Path) -> None:
    write(tmp_path / "s", range(6), tags={"AcquisitionNumber": lambda plane: 1 + plane % 2})
    assert by_table(tmp_path, "s", (5, 5, 3), False) == 3


def canon(root: str = "2.25.77", **more: Any) -> dict[str, Any]:
    return {"tags": {"SeriesInstanceUID": lambda plane: f"{root}{plane}", **more}, "study": "2.25.1"}


@pytest.mark.parametrize("way", WAYS)
def test_a_series_uid_per_slice_is_one_stack(tmp_path: Path, way: Way) -> None:
    write(tmp_path / "s", range(6), **canon())
    assert way(tmp_path, "s", (5, 5, 4), False) == 4
    assert way(tmp_path, "s", (5, 5, 6), True) == 2
    table = source_of(tmp_path).index
    (task,) = slices.tasks(table.iloc[:1].assign(slice=""), table)
    assert len(task.files) == 6


def test_lone_slices_of_other_numbers_places_or_kinds_are_no_stack(tmp_path: Path) -> None:
    write(tmp_path / "s", range(4), **canon(SeriesNumber=lambda plane: plane))
    write(tmp_path / "t", range(4), **canon("2.25.88", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT"),
          patient_id="other")  # fmt: skip
    rows, *_ = index.build(tmp_path, *index.nothing(), processes=1)
    assert sorted(map(len, stacks.split(rows[rows["patient_id"] == "other"]))) == [1] * 4
    assert sorted(map(len, stacks.split(rows[rows["patient_id"] != "other"]))) == [1] * 4


def test_stacks_are_the_same_in_any_order_of_the_index(tmp_path: Path) -> None:
    write_mixed(tmp_path, "AcquisitionNumber")
    write(tmp_path / "c", range(5), **canon(), patient_id="C")
    table = source_of(tmp_path).index
    turned = table.sample(frac=1, random_state=1)
    again = pd.Series(stacks.numbers(turned), index=turned.index).sort_index()
    assert again.tolist() == stacks.numbers(table).tolist()
    assert pd.Series(stacks.numbers(table)).value_counts().tolist() == [6, 6, 5]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("missing", "counted"), [(1, False), (3, False), (6, False), (None, True)])
def test_lungx_counts_from_the_feet_only_in_a_regular_stack(
    tmp_path: Path, descending: bool, missing: int | None, counted: bool
) -> None:
    # Plane 3 is the fourth from the feet; instance numbers are made useless.
    volume = np.full((8, 16, 16), -1000.0)
    volume[3, 8:13, 4:9] = 20
    paths = write_ct_series(tmp_path / "a", volume, Geometry((0.0, 0.0, -50.0), slice_spacing=2.0), patient_id="a",
                            descending=descending, tags={"InstanceNumber": 100})  # fmt: skip
    if missing is not None:
        (paths[::-1] if descending else paths)[missing].unlink()
    found = find_lungx(tmp_path, [("a", "7, 11", 4, "malignant")])
    if counted:
        assert "slice by from the feet" in found.choices[0]["reason"]
    else:
        assert not found.rows
        assert [row["code"] for row in found.skipped] == ["E-GEO-GAP"]


def test_lungx_takes_an_instance_number_also_where_a_slice_is_missing(tmp_path: Path) -> None:
    volume = np.full((8, 16, 16), -1000.0)
    volume[3, 8:13, 4:9] = 20
    paths = write_ct_series(tmp_path / "a", volume, Geometry((0.0, 0.0, -50.0), slice_spacing=2.0), patient_id="a",
                            descending=False)  # fmt: skip
    paths[1].unlink()
    found = find_lungx(tmp_path, [("a", "7, 11", 4, "malignant")])
    assert [row["file"] for row in found.rows] == ["a/1-04.dcm"]
    assert lungx.READINGS[0] in found.choices[0]["reason"]


def test_an_index_of_a_slice_into_a_lone_slice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s", [0])
    assert by_table(tmp_path, "s", (5, 5, 0), False) == 0
    assert "E-LESION-OOB: expected z 0 in a series of one slice, found z 3" in str(
        by_table(tmp_path, "s", (5, 5, 3), False)
    )


def test_a_gap_and_a_mixture_end_a_prediction_with_their_line(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for name in "abcdefgh":
        write(raw / name, range(5), patient_id=name, seed=ord(name))
    rows = "".join(f"{name},{name},1,{number % 2},5,5,2\n" for number, name in enumerate("abcdefgh"))
    (raw / "own.csv").write_text("image,patient_id,finding_id,label,x,y,z\n" + rows)
    write_patches(tmp_path / "data/own", "table", raw, "8 px", find=["--table", "own.csv"])
    write_card(tmp_path / "data/own", "table")
    model = train(tmp_path / "data", tmp_path / "results", ["own"], 1)
    write(tmp_path / "case", [0, 1, 2, 4, 5])
    words = ["--model", str(model), "--out", str(tmp_path / "out")]
    with pytest.raises(GapError, match=r"no slice between 6\.0 and 12\.0 mm"):
        predict([str(tmp_path / "case"), "--at", "5,5,3", *words])
    write_mixed(tmp_path, "ImageType")
    with pytest.raises(InputError, match="found 2 that differ in ImageType"):
        predict([str(tmp_path / "s"), "--at", "5,5,3", *words])
