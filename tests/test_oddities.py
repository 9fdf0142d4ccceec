"""The odd patients of PROSTATEx by name; the others are in test_prostatex.py, 0052 is blank from end to end.

Each stands on a few small planes (tests/collection.py) with what is odd about it in the official tables and in
the archive. Planes lie 3 mm apart from z = 0 to z = 24.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets import Findings, Source, prostatex
from pipeline.files import read_csv
from pipeline.patches import slices
from pipeline.phantom import Geometry, write_mr_series
from pipeline.readers import dicom, labels
from pipeline.readers.index import COLUMNS
from tests.collection import ADC, HIGH_B, MULTI_B, T2, Collection, codes
from tests.test_prostatex_tables import run

SAGITTAL = {"row": (0.0, 1.0, 0.0), "column": (0.0, 0.0, -1.0)}
LATER = {"tags": {"StudyDate": "20120101"}}
FS = "ep2d_diff_tra2x2_Noise0_FS_DYNDIST"
NO_FS = "ep2d_diff_tra2x2_Noise0_NoFS_DYNDIST"
CANONICAL = {T2: 4, ADC: 7, HIGH_B: 8}


@dataclass(frozen=True)
class Case:
    """A patient with one finding: its series, what the tables say, and where it is to be found.

    ``expected`` has, per channel, 100 · series number + plane, or the code and words of why it is left out.
    """

    patient: str
    expected: dict[str, float | tuple[str, str]]
    pos: str = "9 7 12"
    series: tuple[tuple[str, int, dict[str, Any]], ...] = tuple(
        (name, number, {}) for name, number in CANONICAL.items()
    )
    ijk: dict[tuple[str, int], str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.patient


FOUND = {"t2": 404, "dwi": 804, "adc": 704}
USUAL = dict.fromkeys(CANONICAL.items(), "5 4 5")
LOCALIZER = ("t2_localizer", 1, {"axes": SAGITTAL})


def canonical(**options: dict[str, Any]) -> tuple[tuple[str, int, dict[str, Any]], ...]:
    """The three series, with options of some: t2, adc, dwi."""
    names = {"t2": T2, "adc": ADC, "dwi": HIGH_B}
    return tuple((name, CANONICAL[name], options.get(channel, {})) for channel, name in names.items())


CASES = [
    # Negative indices: of localizers in these three, of good series in 0025.
    *(
        Case(p, FOUND, series=(LOCALIZER, *canonical()), ijk=USUAL | {("t2_localizer", 1): "130 139 -1"})
        for p in ("0021", "0124", "0130")
    ),
    Case("0025", FOUND, ijk=dict.fromkeys(CANONICAL.items(), "5 -4 -1")),
    # A slice is missing in the archive, but of a sagittal series.
    Case("0027", FOUND, series=(*canonical(), ("t2_tse_sag", 3, {"axes": SAGITTAL, "drop": [4]}))),
    # Everything twice: the last acquisition counts, at its own slice.
    Case(
        "0031",
        {"t2": 903, "dwi": 1202, "adc": 1102},
        series=(
            *canonical(),
            (T2, 9, {"origin": (0.0, 0.0, 3.0)}),
            (ADC, 11, {"origin": (0.0, 0.0, 6.0)}),
            (HIGH_B, 12, {"origin": (0.0, 0.0, 6.0)}),
        ),
        ijk={(ADC, 7): "5 4 5", (ADC, 11): "5 4 3"},
    ),
    Case(
        "0190",
        {"t2": 404, "dwi": 1204, "adc": 1104},
        series=(
            *canonical(),
            (ADC, 11, {"origin": (-6.0, 0.0, 0.0)}),
            (HIGH_B, 12, {"origin": (-6.0, 0.0, 0.0)}),
        ),
    ),
    Case(
        "0191",  # no canonical t2_tse_tra; of five ADC maps and three high-b series the last
        {"t2": 204, "dwi": 1304, "adc": 1204},
        series=(
            (f"{T2}_Grappa3", 2, {}),
            *((f"{FS}_ADC", number, {"b_values": (800,)}) for number in (4, 12)),
            *((f"{FS}CALC_BVAL", number, {"b_values": (1400,)}) for number in (5, 13)),
            *((f"ADC_S3_{i}", number, {"b_values": (800,)}) for i, number in ((1, 6), (2, 10))),
            (f"{NO_FS}_ADC", 8, {"b_values": (800,)}),
            (f"{NO_FS}CALC_BVAL", 9, {"b_values": (1400,)}),
        ),
    ),
    # Outside a dynamic series, in the last plane of the others; the T2 series twice.
    Case(
        "0105",
        {"t2": 908, "dwi": 808, "adc": 708},
        pos="9 7 24",
        series=(*canonical(), (T2, 9, {}), ("tfl_3d PD ref_tra_1.5x1.5_t3", 13, {"drop": range(4, 9)})),
        ijk={("tfl_3d PD ref_tra_1.5x1.5_t3", 13): "5 4 9"},
    ),
    # The tables number the series otherwise than the headers do.
    Case("0113", FOUND, ijk={(ADC, 9): "5 4 5", (HIGH_B, 10): "5 4 5", (T2, 6): "5 4 5"}),
    # The slices of one series are numbered up, those of the other down.
    Case(
        "0140",
        {"t2": 401, "dwi": 801, "adc": 701},
        pos="9 7 3",
        series=canonical(t2={"descending": True}, adc={"descending": False}, dwi={"descending": False}),
        ijk={(T2, 4): "5 4 2", (ADC, 7): "5 4 8", (HIGH_B, 8): "5 4 8"},
    ),
    # k is the number of slices, as if the finding were beyond the last.
    Case(
        "0154",
        {"t2": 408, "dwi": 808, "adc": 708},
        pos="9 7 24",
        ijk=dict.fromkeys(CANONICAL.items(), "5 4 9"),
    ),
    # k of T2 and of ADC are one apart although the planes are the same.
    Case("0193", FOUND, ijk={(T2, 4): "5 4 6", (ADC, 7): "5 4 5", (HIGH_B, 8): "5 4 5"}),
    # 1 mm beyond the first plane is within half a spacing of it, 3 mm are 1.5 mm too many.
    Case("0189", {"t2": 400, "dwi": 800, "adc": 700}, pos="9 7 -1", ijk={(ADC, 7): "5 4 0"}),
    Case("0335", dict.fromkeys(FOUND, ("E-LESION-OOB", "found one 1.5 mm beyond the slab")), pos="9 7 27"),
    # The first of two T2 series begins beyond the finding.
    Case(
        "0123",
        {"t2": 1004, "dwi": 804, "adc": 704},
        series=(*canonical(t2={"origin": (0.0, 0.0, 16.0)}), (T2, 10, {})),
    ),
    # Two studies of the same place: all of the later one.
    Case(
        "0205",
        {"t2": 1404, "dwi": 1804, "adc": 1704},
        series=tuple(
            (name, number + shift, {"study": study, **later})
            for shift, study, later in ((10, "1.2.1", LATER), (0, "1.2.2", {}))
            for name, number in CANONICAL.items()
        ),
    ),
    # No calculated b-value: the largest of those measured in one series, which is its third volume.
    Case("0227", {"t2": 404, "dwi": 2604, "adc": 704}, series=((T2, 4, {}), (ADC, 7, {}), (MULTI_B, 6, {}))),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_odd_patients_are_found_where_pos_says(tmp_path: Path, case: Case) -> None:
    collection, patient = Collection(tmp_path / "raw"), f"ProstateX-{case.patient}"
    for description, number, options in case.series:
        collection.series(description, number, patient=patient, **options)
    collection.finding(case.pos, patient=patient, ijk=case.ijk)
    found = collection.find(list(case.expected))
    at: dict[str, Any] = {row["channel"]: collection.value(row) for row in found.rows}
    assert at == {channel: value for channel, value in case.expected.items() if isinstance(value, int)}
    left_out = {row["channel"]: (row["code"], row["reason"]) for row in found.skipped}
    assert left_out.keys() == case.expected.keys() - at.keys()
    for channel, (code, reason) in left_out.items():
        expected_code, words = case.expected[channel]
        assert code == expected_code
        assert words in reason


def test_a_last_acquisition_of_another_width_has_its_own_column(tmp_path: Path) -> None:
    # 0190: 84 columns, then 120 of the same spacing, so that i is 43, then 61.
    collection = Collection(tmp_path / "raw")
    collection.series(ADC, 7)
    collection.series(ADC, 11, origin=(-6.0, 0.0, 0.0))
    collection.finding("9 7 12", ijk={(ADC, 7): "5 4 5", (ADC, 11): "8 4 5"})
    (row,) = collection.find(["adc"]).rows
    assert (collection.value(row), row["column"]) == (1104, "7.5000")


def test_a_negative_index_stops_the_published_rule_alone(tmp_path: Path) -> None:
    collection = Collection(tmp_path / "raw")
    collection.series(HIGH_B, 8)
    collection.finding("9 7 12", ijk={(HIGH_B, 8): "5 4 -1"})
    assert codes(collection.find(slice_rule="paper")) == [("ProstateX-0000", "1", "E-LESION-OOB")]
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == [804]
    assert (found.choices[0]["paper_instance"], "distance_mm" in found.choices[0]) == (0, False)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize(
    ("z", "plane"),
    [
        (-1.5, 0),
        (25.5, 8),
        (-1.52, None),
        (25.52, None),
        (4.5, 1),  # a tie goes to the plane that comes first along the normal
        (4.51, 2),
    ],
)
def test_half_a_spacing_is_the_boundary(
    tmp_path: Path, z: float, plane: int | None, descending: bool
) -> None:
    collection = Collection(tmp_path / "raw")
    collection.series(HIGH_B, 8, descending=descending)
    collection.finding(f"9 7 {z}")
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == ([] if plane is None else [800 + plane])
    assert [row["code"] for row in found.skipped] == (["E-LESION-OOB"] if plane is None else [])


def test_a_blank_map_leaves_its_finding_out_by_name(tmp_path: Path) -> None:
    # 0052: 98.8 % of the ADC map are zeros, here 119 of 120.
    collection, patient = Collection(tmp_path / "raw"), "ProstateX-0052"
    tissue = np.random.default_rng(0).integers(0, 1000, (9, 10, 12))
    blank = np.zeros_like(tissue)
    blank[:, 3, 4] = 1000
    for description, number, volume in ((T2, 4, tissue), (ADC, 7, blank)):
        grid = Geometry((0.0, 0.0, 0.0), spacing=(2.0, 2.0))
        write_mr_series(
            collection.raw / str(number), volume, grid, description=description, number=number,
            patient_id=patient, b_values=(800,) if description == ADC else None,
        )  # fmt: skip
    collection.finding("9 7 12", patient=patient)
    collection.find()  # writes the tables
    assert len(run(collection.raw, tmp_path, "--channels", "t2", "adc")["out"]) == 2
    inputs = ["--index", str(tmp_path / "index.parquet"), "--findings", str(tmp_path / "out.csv")]
    outputs = ["--out", str(tmp_path / "slices.h5"), "--skipped", str(tmp_path / "slices.csv")]
    slices.main(["prostatex", "--raw", str(collection.raw), *inputs, *outputs])
    (row,) = read_csv(tmp_path / "slices.csv").to_dict("records")
    assert (row["patient_id"], row["channel"], row["code"]) == (patient, "adc", "E-IMG-CONST")
    assert "found one value in 99.2% of the slice" in row["reason"]


# --- every real finding, on planes laid out as the official tables say


def planes(row: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of an index for a series: the official matrix maps voxel corners, Dim is columns × rows × slices."""
    matrix = np.array(row["WorldMatrix"].split(","), float).reshape(4, 4)
    columns, rows, count, _ = map(int, row["Dim"].split("x"))
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    along = matrix[:3, :3] / steps
    header = {
        "format": "dicom", "patient_id": row["ProxID"], "study_uid": "1", "study_date": "20110101", "modality": "MR",
        "series_uid": row["series"], "series_description": row["DCMSerDescr"], "series_number": row["DCMSerNum"],
        "image_type": "", "columns": columns, "rows": rows, "slice_thickness_mm": steps[2],
        "b_value": 1400.0 if row["DCMSerDescr"].endswith("CALC_BVAL") else np.nan,
        **dict(zip(dicom.VECTOR_TAGS["ImageOrientationPatient"], along[:, :2].T.ravel(), strict=True)),
        **dict(zip(dicom.VECTOR_TAGS["PixelSpacing"], (steps[1], steps[0]), strict=True)),
    }  # fmt: skip
    found = []
    for k in range(count):
        origin = (matrix @ [0.5, 0.5, k + 0.5, 1])[:3]
        place = dict(zip(dicom.VECTOR_TAGS["ImagePositionPatient"], origin, strict=True))
        found.append(header | place | {"file": f"{row['series']}/{k}", "instance_number": k + 1})
    return found


@pytest.fixture(scope="module")
def official(shared: Path) -> tuple[Findings, pd.DataFrame]:
    """All findings located in all T2, ADC and high-b series of the tables, and the tables' rows of these."""
    raw = shared / "prostatex"
    images = labels.read_table(raw / prostatex.IMAGES_FILE, ["WorldMatrix", "Dim", "ijk"])
    wanted = [
        any(pattern.search(name) for pattern in prostatex.DESCRIPTIONS.values())
        for name in images["DCMSerDescr"]
    ]
    images = images[wanted]
    # The two studies of 0025 share series numbers: they are told apart by their matrices.
    parts = images.groupby(["ProxID", "DCMSerDescr", "DCMSerNum", "WorldMatrix"])
    images = images.assign(series="1.2." + parts.ngroup().astype(str))
    rows = images.drop_duplicates("series").to_dict("records")
    table = pd.DataFrame([plane for row in rows for plane in planes(row)], columns=COLUMNS)
    text = [name for name in COLUMNS if table[name].isna().all()]
    table[text] = table[text].astype(object).fillna("")
    table["series_number"] = table["series_number"].astype(float)
    documents = [prostatex.FINDINGS_FILE, prostatex.IMAGES_FILE]
    options = prostatex.Options(channels=["t2", "adc", "dwi"])
    return prostatex.find(Source("prostatex", raw, table, documents), options), images


def test_several_series_are_as_rare_as_they_were_counted(official: tuple[Findings, pd.DataFrame]) -> None:
    # The five findings of 0025 have two of everything, in two studies.
    found, _ = official
    counts = {
        channel: Counter(
            row["candidates"]
            for row in found.choices
            if row["channel"] == channel and row["patient_id"] != "ProstateX-0025"
        )
        for channel in FOUND
    }
    assert counts == {"t2": {1: 249, 2: 73, 3: 3}, "dwi": {1: 320, 2: 4, 3: 1}, "adc": {1: 320, 2: 4, 5: 1}}


OFFICIAL = {
    # patient, fid: series number, plane (zero-based, along the normal) and mm above it, for t2, dwi and adc
    ("0031", "1"): ((9, 13, 0.5), (12, 14, 0.0), (11, 14, 0.0)),  # the second of two acquisitions
    ("0105", "3"): ((9, 20, 0.0), (8, 20, 0.0), (7, 20, 0.0)),  # the last plane of 21
    ("0123", "1"): ((10, 7, 0.0), (9, 6, 0.0), (8, 6, 0.0)),
    ("0140", "2"): ((5, 17, 0.0), (8, 17, 0.0), (7, 17, 0.0)),  # k 17, 18, 18
    ("0148", "1"): ((4, 3, 0.0), (9, 3, 0.0), (8, 3, 0.0)),  # the last T2 is number 6
    ("0148", "2"): ((4, 4, 0.0), (9, 4, 0.0), (8, 4, 0.0)),
    ("0154", "3"): ((4, 19, 0.0), (8, 18, 0.0), (7, 18, 0.0)),  # k 20, 19 (of 19), 19
    ("0189", "3"): ((4, 1, 0.0), (8, 0, -1.0), (7, 0, -1.0)),
    ("0190", "1"): ((4, 4, 0.0), (12, 4, 0.0), (11, 4, 0.0)),
    ("0191", "1"): ((2, 7, 0.0), (13, 8, 0.0), (12, 8, 0.0)),
    ("0193", "4"): ((4, 7, 0.0), (8, 7, 0.0), (7, 7, 0.0)),  # k 8, 7, 7
}


@pytest.mark.parametrize(("patient", "fid"), OFFICIAL)
def test_the_odd_patients_are_found_in_the_official_geometry(
    official: tuple[Findings, pd.DataFrame], patient: str, fid: str
) -> None:
    found, images = official
    number_of = images.set_index("series")["DCMSerNum"].to_dict()
    at = {}
    for row in found.rows:
        if (row["patient_id"], row["finding_id"]) == (f"ProstateX-{patient}", fid):
            series, plane = row["file"].split("/")
            place = (
                int(number_of[series]),
                int(plane),
                pytest.approx(float(row["plane_distance_mm"]), abs=2e-3),
            )
            at[row["channel"]] = place
    assert at == dict(zip(FOUND, OFFICIAL[patient, fid], strict=True))


def test_every_official_finding_lies_in_the_voxel_of_the_tables_less_one(
    official: tuple[Findings, pd.DataFrame], shared: Path
) -> None:
    found, images = official
    assert (len(found.rows), found.skipped) == (3 * 330, [])
    findings = labels.read_table(shared / "prostatex" / prostatex.FINDINGS_FILE, ["ProxID", "fid", "pos"])
    keys = findings[["ProxID", "fid", "pos"]].itertuples(index=False, name=None)
    key_of_row = [key for key in keys for _ in FOUND]
    listed = {
        (*row[["ProxID", "fid", "pos"]], row["series"]): np.array(row["ijk"].split(), int)
        for _, row in images.iterrows()
    }
    for key, row in zip(key_of_row, found.rows, strict=True):
        series, plane = row["file"].split("/")
        spacing = images.loc[images["series"] == series, "VoxelSpacing"].iloc[0].split(",")[2]
        depth = int(plane) + float(row["plane_distance_mm"]) / float(spacing)
        index = np.array([float(row["column"]), float(row["row"]), depth])
        # ijk is floor(index) + 1; most positions are whole numbers but for rounding.
        assert (listed[*key, series] - 1 - 1e-3 <= index).all(), key
        assert (index <= listed[*key, series] + 1e-3).all(), key
