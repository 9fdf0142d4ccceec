"""PROSTATEx and all its oddities, on patients of a few small planes; `pos` decides, never a number."""

from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.collection import ADC, CORONAL, HIGH_B, MULTI_B, PLANES, T2, Collection, codes


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "raw")


# --- the slice


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("plane", [0, 1, 4, 7, 8])
def test_the_slice_is_that_of_pos_whichever_way_the_numbers_run(
    collection: Collection, plane: int, descending: bool
) -> None:
    collection.series(HIGH_B, 8, descending=descending)
    # 1 mm above the plane; column 9/2 and row 7/2.
    collection.finding(f"9 7 {3 * plane + 1}", ijk={(HIGH_B, 8): f"5 4 {plane + 1}"})
    found = collection.find()
    (row,) = found.rows
    assert collection.value(row) == 800 + plane
    assert (row["column"], row["row"], row["plane_distance_mm"]) == ("4.5000", "3.5000", "1.000")
    assert (row["spacing_column_mm"], row["spacing_row_mm"]) == ("2", "2")
    (choice,) = found.choices
    # k = plane + 1, so the published rule takes InstanceNumber plane + 2.
    number = PLANES - plane if descending else plane + 1
    assert (choice["geometry_instance"], choice["paper_instance"]) == (str(number), plane + 2)
    if plane < 8:
        assert choice["distance_mm"] == f"{3 * abs(plane + 2 - number):.3f}"
    else:
        assert "distance_mm" not in choice  # there is no InstanceNumber 10


@pytest.mark.parametrize(("plane", "number"), [(2, 4), (4, 6), (7, 9)])
def test_the_published_rule_takes_instance_number_k_plus_one_and_pixel_ij(
    collection: Collection, plane: int, number: int
) -> None:
    collection.series(HIGH_B, 8, descending=True)
    collection.finding(f"9 7 {3 * plane}", ijk={(HIGH_B, 8): f"5 4 {plane + 1}"})
    (row,) = collection.find(slice_rule="paper").rows
    there = PLANES - number
    assert collection.value(row) == 800 + there
    assert (row["column"], row["row"]) == ("5.0000", "4.0000")
    assert row["plane_distance_mm"] == f"{3 * (plane - there):.3f}"


def test_what_the_published_rule_cannot_find_is_listed(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.finding("9 7 24", "1", ijk={(HIGH_B, 8): "5 4 9"})
    collection.finding("9 7 3", "2", ijk={(HIGH_B, 9): "5 4 2"})
    collection.finding("22 7 3", "3", ijk={(HIGH_B, 8): "12 4 2"})
    found = collection.find(slice_rule="paper")
    assert not found.rows
    assert [
        (code, row["reason"].split(";")[0])
        for (*_, code), row in zip(codes(found), found.skipped, strict=True)
    ] == [
        ("E-LESION-OOB", "expected InstanceNumber 10, found 9 slices"),
        ("E-LESION-NOSERIES", "expected a row of the images table for the series, found none"),
        (
            "E-LESION-OOB",
            "expected a point inside the image, found column 12, row 4, 1.0 mm outside the image",
        ),
    ]
    assert len(collection.find().rows) == 3


def test_a_missing_slice_matters_only_where_it_is_missing(collection: Collection) -> None:
    # 0038 lacks instance 17 of 19 of the ADC map.
    collection.series(ADC, 7, drop=[6])
    for fid, z in (("1", 3), ("2", 16), ("3", 18), ("4", 20)):
        collection.finding(f"9 7 {z}", fid)
    found = collection.find(["adc"])
    assert [(row["finding_id"], collection.value(row)) for row in found.rows] == [
        ("1", 701),
        ("2", 705),
        ("4", 707),
    ]
    assert codes(found) == [("ProstateX-0000", "3", "E-GEO-GAP")]
    assert "the nearest 3.0 mm away" in found.skipped[0]["reason"]


# --- the series


def test_three_channels_lie_on_the_same_tissue(collection: Collection) -> None:
    collection.series(T2, 4, origin=(-3.0, -5.0, 0.0), descending=False)
    collection.series(ADC, 7)
    collection.series(HIGH_B, 8, origin=(1.0, 1.0, 3.0))
    collection.finding("9 7 12.5")
    found = collection.find(["t2", "dwi", "adc"])
    cells = {row["channel"]: (collection.value(row), row["column"], row["row"]) for row in found.rows}
    assert cells == {
        "t2": (404, "6.0000", "6.0000"),
        "dwi": (803, "4.0000", "3.0000"),  # begins 3 mm higher
        "adc": (704, "4.5000", "3.5000"),
    }


def test_other_frames_of_reference_do_not_matter(collection: Collection) -> None:
    # 0199: T2 and ADC have different ones, and the positions agree all the same.
    collection.series(T2, 4, tags={"FrameOfReferenceUID": "1.2.3"})
    collection.series(ADC, 7, tags={"FrameOfReferenceUID": "1.2.4"})
    collection.finding("9 7 12")
    found = collection.find(["t2", "adc"])
    assert [collection.value(row) for row in found.rows] == [404, 704]


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_series_of_several_b_values_is_split_before_slices_are_counted(
    collection: Collection, interleaved: bool
) -> None:
    # Without CALC_BVAL the largest measured b counts; ADC carries b = 800 too and must not be taken.
    collection.series(MULTI_B, 6, interleaved=interleaved)
    collection.series(ADC, 7)
    collection.series(T2, 4)
    collection.finding("9 7 18")
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == [2606]  # the third b-value, plane 6
    assert (found.choices[0]["candidates"], found.choices[0]["chosen_description"]) == (1, MULTI_B)


def test_the_calculated_b_value_wins_over_every_measured_one(collection: Collection) -> None:
    collection.series("ep2d-advdiff-3Scan-high bvalue 2000", 5, b_values=(2000,))
    collection.series(HIGH_B, 8)
    collection.finding("9 7 12")
    assert collection.value(collection.find().rows[0]) == 804


@pytest.mark.parametrize(
    "tags",
    [{}, {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}],
    ids=["by description", "by image type"],
)
def test_maps_with_a_b_value_are_no_images_of_that_weighting(
    collection: Collection, tags: dict[str, Any]
) -> None:
    collection.series("ep2d-advdiff-3Scan-high bvalue 500", 5, b_values=(500,))
    collection.series("map of diffusion" if tags else "ADC_high bvalue", 9, b_values=(1400,), tags=tags)
    collection.series("ep2d-advdiff-MDDW-12dir_spair_511b_FA", 10, b_values=(1400,))
    collection.finding("9 7 12")
    assert collection.value(collection.find().rows[0]) == 504


def test_the_standard_b_value_counts_as_siemens_own(collection: Collection) -> None:
    collection.series("dwi", 5, b_values=(100, 1000), standard_b_value=True)
    collection.finding("9 7 12")
    assert collection.value(collection.find().rows[0]) == 1504


def test_mosaics_and_other_orientations_are_left_out(collection: Collection) -> None:
    collection.series(T2, 3, axes=CORONAL)
    collection.series(MULTI_B, 5, tags={"ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "MOSAIC"]})
    collection.series(T2, 4)
    collection.finding("9 7 12")
    found = collection.find(["t2", "dwi"])
    assert [collection.value(row) for row in found.rows] == [404]
    assert [row["code"] for row in found.skipped] == ["E-LESION-NOSERIES"]


def test_the_last_series_is_not_taken_where_it_misses_the_finding(collection: Collection) -> None:
    # 0148: of three T2 series the last ends 11.4 mm short of the finding.
    collection.series(T2, 3)
    collection.series(T2, 4)
    collection.series(T2, 6, origin=(0.0, 0.0, 30.0))
    collection.finding("9 7 12", "1")
    collection.finding("9 7 33", "2")
    found = collection.find(["t2"])
    assert [collection.value(row) for row in found.rows] == [404, 601]
    assert [(choice["candidates"], choice["reason"]) for choice in found.choices] == [
        (3, "the last of 2 series that contain the finding, among 3"),
        (3, "the only one of 3 series that contains the finding"),
    ]


def test_a_finding_in_no_series_is_told_with_its_distance(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.finding("9 7 37", "1")  # 24 + 1.5 + 11.5
    collection.finding("-4 7 12", "2")  # −1 − 3
    collection.finding("9 7 25.5", "3")  # exactly half a spacing beyond the last plane
    found = collection.find()
    assert [collection.value(row) for row in found.rows] == [808]
    assert codes(found) == [("ProstateX-0000", "1", "E-LESION-OOB"), ("ProstateX-0000", "2", "E-LESION-OOB")]
    assert "11.5 mm beyond the slab" in found.skipped[0]["reason"]
    assert "3.0 mm outside the image" in found.skipped[1]["reason"]
    assert all(row["file"].endswith(".dcm") for row in found.skipped)


def test_of_two_studies_the_one_that_contains_the_finding_counts(collection: Collection) -> None:
    # 0025: finding 1 lies in one study, another finding called 1 and the others in the second.
    for channel, number in ((T2, 4), (HIGH_B, 8)):
        collection.series(channel, number, study="1.2.1")
        collection.series(
            channel, number, study="1.2.2", origin=(0.0, 0.0, -90.0), tags={"StudyDate": "20120101"}
        )
    collection.finding("9 7 12", "1", "FALSE")
    collection.finding("9 7 -81", "1", "FALSE")
    collection.finding("9 7 -50", "2", "FALSE")
    found = collection.find(["t2", "dwi"])
    assert [(row["finding_id"], row["study_uid"], collection.value(row)) for row in found.rows] == [
        ("1a", "1.2.1", 404), ("1a", "1.2.1", 804), ("1b", "1.2.2", 403), ("1b", "1.2.2", 803),
    ]  # fmt: skip
    # The distance is that to the later study: planes from −90 to −66.
    assert [row["reason"].split("found ")[1][:11] for row in found.skipped] == ["one 14.5 mm"] * 2


def test_channels_never_mix_studies(collection: Collection) -> None:
    collection.series(T2, 4, study="1.2.1")
    collection.series(HIGH_B, 8, study="1.2.1")
    collection.series(HIGH_B, 8, study="1.2.2", tags={"StudyDate": "20120101"})
    collection.finding("9 7 12")
    assert {row["study_uid"] for row in collection.find(["t2", "dwi"]).rows} == {"1.2.1"}
    assert {row["study_uid"] for row in collection.find(["dwi"]).rows} == {"1.2.2"}


def test_a_study_that_misses_the_finding_says_more_than_one_without_the_series(
    collection: Collection,
) -> None:
    collection.series(HIGH_B, 8, study="1.2.1")
    collection.series(T2, 4, study="1.2.2", tags={"StudyDate": "20120101"})
    collection.finding("9 7 60")
    assert codes(collection.find()) == [("ProstateX-0000", "1", "E-LESION-OOB")]


def test_a_repeated_series_number_is_no_matter(collection: Collection) -> None:
    # 0233 has 3, 4 and 5 twice in one study.
    collection.series(T2, 4, series="1.2.1", descending=False)
    collection.series(HIGH_B, 4, series="1.2.2")
    collection.finding("9 7 6", ijk={(T2, 4): "5 4 3"})
    found = collection.find(["t2", "dwi"])
    assert [(row["series_uid"], collection.value(row)) for row in found.rows] == [
        ("1.2.1", 402),
        ("1.2.2", 402),
    ]
    assert found.choices[0]["paper_instance"] == 4
    assert "paper_instance" not in found.choices[1]


def test_a_damaged_series_is_told_and_another_taken(collection: Collection) -> None:
    collection.series(T2, 4)
    collection.series(T2, 5, tags={"PixelSpacing": lambda plane: ["2", "2"] if plane else ["3", "3"]})
    collection.series(HIGH_B, 8, tags={"ImageOrientationPatient": None})
    collection.finding("9 7 12")
    found = collection.find(["t2", "dwi"])
    assert [collection.value(row) for row in found.rows] == [404]
    assert [row["code"] for row in found.skipped] == ["E-DCM-TAG"]
    assert "tags ImageOrientationPatient" in found.skipped[0]["reason"]


def test_the_same_slice_twice_in_a_series_is_refused(collection: Collection) -> None:
    collection.series(HIGH_B, 8)
    collection.series(HIGH_B, 8, series=index_uid(collection, 8), first=20)
    collection.finding("9 7 12")
    assert codes(collection.find()) == [("ProstateX-0000", "1", "E-GEO-DUP")]


def index_uid(collection: Collection, number: int) -> str:
    """The SeriesInstanceUID of what has been written."""
    file = next((collection.raw / "ProstateX-0000" / str(number)).glob("*.dcm"))
    return str(pydicom.dcmread(file).SeriesInstanceUID)


def test_absent_series_and_instance_numbers_do_not_matter(collection: Collection) -> None:
    collection.series(T2, 5, tags={"InstanceNumber": None})
    collection.series(T2, 9, tags={"SeriesNumber": None})
    collection.finding("9 7 12", ijk={(T2, 5): "5 4 5"})
    found = collection.find(["t2"])
    assert [collection.value(row) for row in found.rows] == [504]
    (choice,) = found.choices
    assert (choice["geometry_instance"], choice["paper_instance"], "distance_mm" in choice) == ("", 6, False)
