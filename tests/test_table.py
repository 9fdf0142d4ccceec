"""A user's own data: every kind of image, every kind of point, one line for each mistake."""

import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from pipeline import findings as findings_step
from pipeline.datasets import Findings, Source, table
from pipeline.datasets.table import find
from pipeline.errors import (
    ColumnError,
    ConfigError,
    DuplicateFindingError,
    EmptyError,
    LabelError,
    NotImageError,
)
from pipeline.files import read_csv
from pipeline.options import add_flags, given
from pipeline.patches import slices
from pipeline.phantom import Geometry, write_mr_series
from pipeline.readers import index
from pipeline.readers.index import as_table
from pipeline.readers.pixels import read_pixels
from workflow.flags import flags

RNG = np.random.default_rng(0)
VOXELS = RNG.integers(0, 1000, (20, 30, 10)).astype("i2")  # i, j, k


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    Image.fromarray(RNG.integers(0, 255, (40, 60), dtype="u1")).save(folder / "a.png")
    # RAS affine: 2 mm × 3 mm × 4 mm, origin (−10, −20, 5)
    affine = np.array([[2.0, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1]])
    nib.Nifti1Image(VOXELS, affine).to_filename(folder / "v.nii.gz")
    image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetOrigin((10.0, 20.0, 5.0))  # LPS
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, folder / "v.mha")
    sitk.WriteImage(image, folder / "v.mhd")
    return folder


def source_of(raw: Path) -> Source:
    rows, _, digests, errors = index.build(raw, *index._previous(raw / "no", raw / "no"), processes=1)
    assert all(isinstance(error, NotImageError) for error in errors), errors
    return Source("mine", raw, rows, sorted(digests))


def run(raw: Path, lines: str, *options: str) -> Findings:
    (raw / "own.csv").write_text(lines)
    return run_csv(raw, *options)


def run_csv(raw: Path, *options: str) -> Findings:
    parser = findings_step.argparse.ArgumentParser()
    add_flags(parser, table.Options)
    return find(source_of(raw), given(table.Options, parser.parse_args(["--table", "own.csv", *options])))


def place(row: dict) -> tuple[float, float, str]:
    return float(row["column"]), float(row["row"]), row.get("slice", "")


HEADER = "image,patient_id,finding_id,label,x,y,z,x_mm,y_mm,z_mm\n"


@pytest.mark.parametrize("name", ["v.nii.gz", "v.mha", "v.mhd"])
def test_voxel_indices_are_i_j_k_whatever_the_format(raw: Path, name: str) -> None:
    found = run(raw, HEADER + f"{name},p,1,1,4,7,3,,,\n")
    (row,) = found.rows
    assert place(row) == (4, 7, "2:3")
    assert (row["spacing_column_mm"], row["spacing_row_mm"]) == ("2", "3")
    assert read_pixels(raw / name, row["slice"]).values[7, 4] == VOXELS[4, 7, 3]


@pytest.mark.parametrize(("name", "point"), [("v.nii.gz", "-2,1,17"), ("v.mha", "2,-1,17")])
def test_millimetres_are_lps_but_ras_for_nifti(raw: Path, name: str, point: str) -> None:
    # RAS (−10, −20, 5) + (2·4, 3·7, 4·3) = (−2, 1, 17)
    (row,) = run(raw, HEADER + f"{name},p,1,malignant,,,,{point}\n").rows
    assert place(row) == (4, 7, "2:3")


def test_slices_along_another_axis(raw: Path) -> None:
    (row,) = run(raw, HEADER + "v.mha,p,1,1,4,7,3,,,\n", "--axis", "0").rows
    assert place(row) == (7, 3, "0:4")
    assert read_pixels(raw / "v.mha", "0:4").values[3, 7] == VOXELS[4, 7, 3]
    assert (row["spacing_column_mm"], row["spacing_row_mm"]) == ("3", "4")


def test_without_a_point_the_centre_is_taken_and_marked(raw: Path) -> None:
    rows = run(raw, "image,patient_id,finding_id,label\na.png,p,1,0\nv.mha,q,1,1\n").rows
    assert [(*place(row), row["centre"]) for row in rows] == [
        (29.5, 19.5, "", "image"),
        (9.5, 14.5, "2:4", "image"),
    ]


def test_a_workbook_serves_as_the_table(raw: Path, tmp_path: Path) -> None:
    rows = [["image", "patient_id", "finding_id", "label", "x", "y"], ["a.png", "0007", 1, "yes", 3.5, 4.25]]
    pd.DataFrame(rows[1:], columns=rows[0]).to_excel(tmp_path / "own.xlsx", index=False)
    parser = findings_step.argparse.ArgumentParser()
    add_flags(parser, table.Options)
    options = given(table.Options, parser.parse_args(["--table", str(tmp_path / "own.xlsx")]))
    (row,) = find(source_of(raw), options).rows
    assert (place(row), row["patient_id"], row["label"]) == ((3.5, 4.25, ""), "0007", 1)


def test_semicolons_decimal_commas_and_a_byte_order_mark(raw: Path) -> None:
    (row,) = run(raw, "\ufeffimage;patient_id;finding_id;label;x;y\r\na.png;0007;1;yes;3,5;4,25\r\n").rows
    assert place(row) == (3.5, 4.25, "")
    assert row["patient_id"] == "0007"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("a.png,p,1,1,60,4,,,,", "E-LESION-OOB", "column 60, row 4"),
        ("a.png,p,1,1,3,,,,,", "E-LESION-NOCENTRE", "x and y"),
        ("a.png,p,1,1,,,,1,2,3", "E-LESION-NOCENTRE", "the image has no scale"),
        ("v.mha,p,1,1,4,7,,,,", "E-LESION-NOCENTRE", "x and y and z"),
        ("v.mha,p,1,1,4,7,10,,,", "E-LESION-OOB", "[20, 30, 10] voxels"),
        ("a.png,p,1,1,three,4,,,,", "E-LABEL", "a number"),
        ("b.png,p,1,1,3,4,,,,", "E-IMG-MISSING", "no readable file of that name"),
    ],
)
def test_a_bad_row_is_left_out_with_its_reason_and_the_others_go_on(
    raw: Path, line: str, code: str, words: str
) -> None:
    found = run(raw, HEADER + line + "\na.png,q,1,0,3,4,,,,\n")
    assert [(row["code"], row["patient_id"]) for row in found.skipped] == [(code, "p")]
    assert words in found.skipped[0]["reason"]
    assert [row["patient_id"] for row in found.rows] == ["q"]


# --- a user's own words


@pytest.mark.parametrize(
    ("cells", "words", "labels"),
    [
        (["B", "M", " m ", "b"], ["B=0", "M=1"], [0, 1, 1, 0]),
        (["2", "1", "2.0"], ["1=0", "2=1"], [1, 0, 1]),
        (["-1", "+1"], ["-1=0", "+1=1"], [0, 1]),
        (["a=b", "c, d"], ["A=B=1", "C,  D=0"], [1, 0]),
        (["gutartig", "BÖSARTIG"], ["gutartig=0", "bo\u0308sartig=1"], [0, 1]),
        (["1", "0"], ["0=1", "1=0"], [0, 1]),  # the user's words alone count
        (["true", "No", "1.0", "0.0"], [], [1, 0, 1, 0]),
        (["c", "A", "b"], ["a=0", "b=1", "c=2"], [2, 0, 1]),
    ],
)
def test_labels_are_the_words_of_the_user_in_any_case(
    raw: Path, cells: list[str], words: list[str], labels: list[int]
) -> None:
    lines = [f'v.mha,p{number},1,"{cell}"' for number, cell in enumerate(cells)][: len(labels)]
    options = [f"--labels={word}" for word in words]
    found = run(raw, "image,patient_id,finding_id,label\n" + "\n".join(lines) + "\n", *options)
    assert [row["label"] for row in found.rows] == labels


def test_each_of_several_labels_has_a_column_and_may_be_unknown(raw: Path) -> None:
    content = "image,patient_id,finding_id,mass,nodule\nv.mha,p,1,yes,\nv.mha,q,1,0,1.0\n"
    found = run(raw, content, "--label-columns", "mass", "nodule")
    assert [(row["label_mass"], row["label_nodule"]) for row in found.rows] == [(1, ""), (0, 1)]
    assert "label" not in found.rows[0]


def test_the_words_of_the_user_count_in_columns_of_labels_too(raw: Path) -> None:
    content = "image,patient_id,finding_id,mass,nodule\nv.mha,p,1,ja,nein\nv.mha,q,1,Nein,\n"
    found = run(raw, content, "--label-columns", "mass", "nodule", "--labels", "nein=0", "ja=1")
    assert [(row["label_mass"], row["label_nodule"]) for row in found.rows] == [(1, 0), (0, "")]


THREE = "image,patient_id,finding_id,label\na.png,p,1,B\na.png,q,1,M\na.png,r,1,b\na.png,s,1,U\na.png,t,1,\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], 'found B (1), M (1), b (1), U (1), nothing (1); say in the config which are 0, which are 1, and so on: labels: '
             '{"B": …, "M": …, "U": …}'),
        (["--labels", "B=0", "M=1"], 'expected labels B, M, found B (1), M (1), b (1), U (1), nothing (1); '
                                     'say in the config which are 0 and which are 1: labels: {"B": 0, "M": 1, "U": …}'),
        (["--labels", "B=0", "M=1", "U=1"], "nothing (1); fill in those that are empty, or take these rows out"),
    ],
)  # fmt: skip
def test_a_label_that_nobody_explained_stops_the_table_and_drops_no_class(
    raw: Path, options: list[str], message: str
) -> None:
    with pytest.raises(LabelError) as caught:
        run(raw, THREE, *options)
    assert message in str(caught.value)
    assert "max_skipped" not in str(caught.value)


def test_a_column_of_other_things_names_a_dozen_of_them(raw: Path) -> None:
    lines = [f"a.png,p{number},1,text {number:02}\n" for number in range(30)]
    with pytest.raises(LabelError, match=r"text 11 \(1\) and 18 more; .*text 11\W+\}$"):
        run(raw, "image,patient_id,finding_id,label\n" + "".join(lines))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_may_be_called_as_the_user_calls_them(raw: Path, separator: str) -> None:
    header = ["Datei", "Fall", "Befund (0/1)", "X Mitte", "Y", "image"]
    rows = [header, ["a.png", "7", "1", "3.5", "4", "not meant"]]
    names = ["image=Datei", "patient_id=Fall", "finding_id=Datei", "label=Befund (0/1)", "x=X Mitte", "y=Y"]
    found = run(raw, "\n".join(separator.join(row) for row in rows), "--columns", *names)
    (row,) = found.rows
    assert (row["patient_id"], row["finding_id"], row["label"], *place(row)) == ("7", "a.png", 1, 3.5, 4, "")


def test_decimal_commas_are_read_in_columns_of_other_names(raw: Path) -> None:
    lines = "image;patient_id;finding_id;label;links;oben\na.png;p;1;1;3,5;4,25\n"
    (row,) = run(raw, lines, "--columns", "x=links", "y=oben").rows
    assert place(row) == (3.5, 4.25, "")


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("Image,patient,finding_id,label", [],
         "expected image, patient_id, found columns Image, patient, finding_id, label; say what they are called, "
         "columns: {image: Image, patient_id: patient} in the config"),
        ("file,patient_id,finding_id,label", [], "columns: {image: …} in the config"),
        ("age,patient_id,finding_id,label", [], "columns: {image: …} in the config"),
        ("file,patient_id,finding_id,label", ["--columns", "image=files"],
         r"expected files (image), found columns file, patient_id, finding_id, label; say what they are called, "
         "columns: {image: file} in the config"),
        ("image,patient_id,finding_id,label", ["--columns", "x=column"], "expected column (x)"),
        ("file,file,patient_id,finding_id,label", ["--columns", "image=file"], "expected file (image)"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there_is_named_with_one_that_may_be_meant(
    raw: Path, header: str, options: list[str], message: str
) -> None:
    with pytest.raises(ColumnError) as caught:
        run(raw, header + "\n", *options)
    assert message in str(caught.value)


def test_the_flags_that_the_workflow_writes_are_understood_whatever_the_words(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(RNG.integers(0, 255, (40, 60), dtype="u1")).save(tmp_path / name)
    (tmp_path / "own.csv").write_text("the file;who=who;--id;label\nA.png;p;1;-1\nB.png;q;1;no 'tumour'\n")
    settings = {
        "table": "own.csv",
        "labels": {"-1": 1, "No 'tumour'": 0},
        "columns": {"image": "the file", "patient_id": "who=who", "finding_id": "--id"},
    }
    paths = {name: tmp_path / "out" / name for name in ("index", "files", "skipped", "out", "choices")}
    words = [word for name in ("out", "files", "skipped") for word in (f"--{name}", str(paths[name]))]
    words[1] = str(paths["index"])
    index.main(["--raw", str(tmp_path), *words])
    files = {"index": paths["index"], "out": paths["out"], "skipped": paths["skipped"], "choices": paths["choices"],
             "near_duplicates": tmp_path / "out" / "near"}  # fmt: skip
    named = ["table", "--dataset", "own", "--raw", str(tmp_path)]
    findings_step.main([*named, *shlex.split(flags(files)), *shlex.split(flags(settings))])
    rows = read_csv(paths["out"])[["patient_id", "file", "label"]]
    assert rows.to_numpy().tolist() == [["p", "a.png", "1"], ["q", "b.png", "0"]]


def test_a_column_that_no_table_has_is_an_error(raw: Path) -> None:
    with pytest.raises(ConfigError, match=r"E-CONFIG --columns: expected one of image, .*, found images"):
        run(raw, HEADER, "--columns", "images=a")


@pytest.mark.parametrize("name", ["./a.png", "A.PNG", ".\\a.png", "C:\\my data\\a.png", "/home/me/a.png"])
def test_one_image_under_several_names_is_one_image(raw: Path, name: str) -> None:
    rows = run(raw, HEADER + f"{name},,1,1,3,4,,,,\na.png,,2,0,5,6,,,,\n").rows
    assert [(row["file"], row["patient_id"]) for row in rows] == [("a.png", "a.png")] * 2
    with pytest.raises(DuplicateFindingError, match=r"1 twice for a\.png"):
        run(raw, HEADER + f"{name},p,1,1,3,4,,,,\na.png,p,1,0,5,6,,,,\n")


def test_a_name_that_no_file_has_is_left_out_with_the_nearest(raw: Path) -> None:
    found = run(raw, HEADER + "a.jpg,p,1,1,3,4,,,,\na.png,q,1,0,5,6,,,,\n")
    assert [(row["code"], row["file"]) for row in found.skipped] == [("E-IMG-MISSING", "a.jpg")]
    assert found.skipped[0]["reason"].endswith("did you mean a.png?")


def test_an_empty_table_is_an_error(raw: Path) -> None:
    with pytest.raises(EmptyError, match="expected a row per finding, found no rows"):
        run(raw, HEADER)


def test_repeated_finding_ids_get_letters_in_file_order(raw: Path) -> None:
    rows = run(raw, HEADER + "a.png,p,1,1,3,4,,,,\nv.mha,p,1,0,4,7,3,,,\n").rows
    assert [(row["finding_id"], row["label"]) for row in rows] == [("1a", 1), ("1b", 0)]


def test_the_same_row_twice_is_an_error(raw: Path) -> None:
    with pytest.raises(DuplicateFindingError, match=r"E-CSV-DUP .*own\.csv.*p 1 twice for a\.png"):
        run(raw, HEADER + "a.png,p,1,1,3,4,,,,\na.png,p,1,0,5,4,,,,\n")


def test_missing_columns_are_named_with_those_found(raw: Path) -> None:
    with pytest.raises(
        ColumnError, match="expected patient_id, label, found columns image, patient, finding_id"
    ):
        run(raw, "image,patient,finding_id\n")


def test_a_ragged_line_is_named(raw: Path) -> None:
    with pytest.raises(ColumnError, match="expected 4 cells in line 3, found 3"):
        run(raw, "image,patient_id,finding_id,label\na.png,p,1,1\na.png,p,2\n")


def test_empty_patients_are_grouped_by_near_duplicates(tmp_path: Path) -> None:
    smooth = Image.fromarray(RNG.integers(0, 255, (12, 12), dtype="u1")).resize(
        (96, 96), Image.Resampling.BICUBIC
    )
    smooth.save(tmp_path / "one.png")
    smooth.resize((80, 80)).save(tmp_path / "two.png")
    Image.fromarray(RNG.integers(0, 255, (96, 96), dtype="u1")).save(tmp_path / "three.png")
    (tmp_path / "own.csv").write_text(
        "image,patient_id,finding_id,label\none.png,,1,0\ntwo.png,,1,0\nthree.png,,1,1\n"
    )
    out = tmp_path / "out"
    names = ("out", "skipped", "choices", "near-duplicates")
    index.main(
        [
            "--raw",
            str(tmp_path),
            "--out",
            str(out / "i"),
            "--files",
            str(out / "f"),
            "--skipped",
            str(out / "s"),
        ]
    )
    call = [
        "table",
        "--dataset",
        "own",
        "--raw",
        str(tmp_path),
        "--index",
        str(out / "i"),
        "--table",
        "own.csv",
    ]
    findings_step.main(call + [word for name in names for word in (f"--{name}", str(out / name))])
    groups = read_csv(out / "out").set_index("patient_id")["group_id"]
    assert groups.to_dict() == {"one.png": "one.png", "two.png": "one.png", "three.png": "three.png"}
    assert read_csv(out / "near-duplicates")[
        ["patient_id_1", "patient_id_2", "merged"]
    ].to_numpy().tolist() == [["one.png", "two.png", "True"]]


def test_slices_of_one_volume_stay_one_group_whatever_resembles_them(tmp_path: Path) -> None:
    # One slice of b is a copy of one of a: all four slices are one group, not a patient in two groups.
    a, b = RNG.integers(0, 255, (2, 64, 64, 8))
    b[..., 3] = a[..., 3]
    for name, voxels in (("a", a), ("b", b)):
        nib.Nifti1Image(voxels.astype("f4"), np.eye(4)).to_filename(tmp_path / f"{name}.nii.gz")
    rows = [f"{name}.nii.gz,,{z},1,30,30,{z}\n" for name in "ab" for z in (3, 6)]
    (tmp_path / "own.csv").write_text("image,patient_id,finding_id,label,x,y,z\n" + "".join(rows))
    found = run_csv(tmp_path)
    findings_step.group(found, source_of(tmp_path))
    assert {row["group_id"] for row in found.rows} == {"a.nii.gz"}


def folders(raw: Path, *options: str) -> object:
    parser = findings_step.argparse.ArgumentParser()
    add_flags(parser, table.Options)
    asked = parser.parse_args(["--folders", "0_normal=0", "1_abnormal=1", *options])
    return find(source_of(raw), given(table.Options, asked))


def test_folders_carry_labels_and_names_carry_patients(tmp_path: Path) -> None:
    for folder, name in (
        ("train/0_normal", "00000002_000.png"),
        ("test/1_abnormal", "00000002_001.png"),
        ("other", "x.png"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(RNG.integers(0, 255, (8, 8), dtype="u1")).save(tmp_path / folder / name)
    rows = folders(tmp_path, "--patient-pattern", "^(.{8})").rows
    assert [(row["group_id"], row["finding_id"], row["label"]) for row in rows] == [
        ("00000002", "00000002_001", 1),
        ("00000002", "00000002_000", 0),
    ]


def test_masks_beside_the_images_are_no_images(tmp_path: Path) -> None:
    for folder, name in (("0_normal", "a.png"), ("0_normal", "a_mask.png"), ("1_abnormal", "b.png")):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 255, (8, 8), dtype="u1")).save(tmp_path / folder / name)
    assert [row["finding_id"] for row in folders(tmp_path, "--exclude", "_mask").rows] == ["a", "b"]


def test_no_folder_of_that_name_is_an_error(raw: Path) -> None:
    with pytest.raises(
        EmptyError, match="expected images in folders 0_normal, 1_abnormal, found folders none"
    ):
        folders(raw)


@pytest.mark.parametrize(("normal", "abnormal"), [("0_Normal", "1_ABNORMAL"), ("0_normal", "1_Abnormal")])
def test_folders_are_found_in_any_case(tmp_path: Path, normal: str, abnormal: str) -> None:
    for folder in (normal, abnormal):
        (tmp_path / folder).mkdir()
        Image.fromarray(RNG.integers(0, 255, (8, 8), dtype="u1")).save(tmp_path / folder / "a.png")
    assert [row["label"] for row in folders(tmp_path).rows] == [0, 1]


def test_of_two_folders_that_differ_in_case_neither_is_taken_for_a_third(tmp_path: Path) -> None:
    for folder in ("0_Normal", "0_NORMAL", "1_abnormal"):
        (tmp_path / folder).mkdir()
        Image.fromarray(RNG.integers(0, 255, (8, 8), dtype="u1")).save(tmp_path / folder / "a.png")
    with pytest.raises(EmptyError, match="folders 0_normal, found folders 0_NORMAL, 0_Normal, 1_abnormal;"):
        folders(tmp_path)


def test_real_chest_x_rays_have_264_patients(shared: Path) -> None:
    rows = folders(shared / "nih1000", "--patient-pattern", "^(.{8})").rows
    assert len(rows) == 1000
    assert len({row["group_id"] for row in rows}) == 264


# --- volumes with time, without a place, and points between slices

TIMED = "image,patient_id,finding_id,label,x,y,z,time\n"


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """A volume of two times, the second 1000 higher."""
    voxels = np.stack([VOXELS, VOXELS + 1000], axis=-1)
    nib.Nifti1Image(voxels, np.diag([2.0, 3, 4, 1])).to_filename(tmp_path / "t.nii.gz")
    nib.Nifti1Image(VOXELS, None).to_filename(tmp_path / "nowhere.nii")
    return tmp_path


def test_a_time_is_chosen_by_the_table_down_to_the_pixels(timed: Path) -> None:
    rows = run(timed, TIMED + "t.nii.gz,p,1,1,4,7,3,0\nt.nii.gz,q,1,0,4,7,3,1\n").rows
    assert [row["slice"] for row in rows] == ["2:3:0", "2:3:1"]
    values = [read_pixels(timed / "t.nii.gz", row["slice"]).values[7, 4] for row in rows]
    assert values == [VOXELS[4, 7, 3], VOXELS[4, 7, 3] + 1000]


def test_each_time_has_statistics_of_its_own(timed: Path) -> None:
    found = run(timed, TIMED + "t.nii.gz,p,1,1,4,7,3,0\nt.nii.gz,q,1,0,4,7,3,1\nt.nii.gz,p,2,0,4,7,5,0\n")
    rows = pd.DataFrame(found.rows)
    todo = slices.tasks(rows, source_of(timed).index)
    assert [task.rows for task in todo] == [
        ((0, "t.nii.gz", "2:3:0"), (2, "t.nii.gz", "2:5:0")), ((1, "t.nii.gz", "2:3:1"),)
    ]  # fmt: skip
    means = [slices.read_series(task, timed, None, "series").statistics.mean_std()[0] for task in todo]
    assert means == pytest.approx([VOXELS.mean(), VOXELS.mean() + 1000])


@pytest.mark.parametrize(
    ("cell", "code", "words"),
    [
        ("", "E-VOL-TIME", "a time from 0 to 1, found none; name it: in the column time of the table"),
        ("2", "E-VOL-TIME", "a time from 0 to 1, found time 2"),
        ("0.5", "E-LABEL", "a whole number, found '0.5'"),
        ("first", "E-LABEL", "a number, found 'first'"),
    ],
)
def test_a_file_with_time_needs_one_that_is_there(timed: Path, cell: str, code: str, words: str) -> None:
    (row,) = run(timed, TIMED + f"t.nii.gz,p,1,1,4,7,3,{cell}\n").skipped
    assert (row["code"], row["file"].endswith("t.nii.gz")) == (code, True)
    assert words in row["reason"]


def test_a_column_called_time_counts_for_files_with_time_alone(timed: Path) -> None:
    (row,) = run(timed, TIMED + "nowhere.nii,p,1,1,4,7,3,10:33\n").rows
    assert row["slice"] == "2:3"


def test_millimetres_of_a_volume_that_lies_nowhere_are_one_line(timed: Path) -> None:
    found = run(timed, HEADER + "nowhere.nii,p,1,1,,,,1,2,3\nnowhere.nii,q,1,1,4,7,3,,,\n")
    assert found.skipped[0]["code"] == "E-VOL-AFFINE"
    assert found.skipped[0]["reason"] == (
        "expected a volume that says where it lies, found sform_code and qform_code 0; "
        "give x, y and z, in voxels, in place of x_mm, y_mm and z_mm"
    )
    assert [row["patient_id"] for row in found.rows] == ["q"]


@pytest.mark.parametrize(("z", "plane", "distance"), [("1.25", 1, 0.75), ("1.75", 2, -0.75), ("0", 0, 0.0)])
def test_between_two_slices_the_nearer_one_is_taken_and_its_distance_kept(
    tmp_path: Path, z: str, plane: int, distance: float
) -> None:
    volume = np.arange(4)[:, None, None] * np.ones((4, 6, 5))
    write_mr_series(tmp_path / "s", volume, Geometry((0, 0, 0)), description="t2", number=1)  # 3 mm apart
    nib.Nifti1Image(volume.T, np.diag([1.0, 1, 3, 1])).to_filename(tmp_path / "v.nii")
    for image in ("s", "v.nii"):
        (row,) = run(tmp_path, HEADER + f"{image},p,1,1,2,2,{z},,,\n").rows
        assert (read_pixels(tmp_path / row["file"], row.get("slice", "")).values == plane).all()
        assert float(row["plane_distance_mm"]) == distance


def test_a_point_where_a_slice_is_missing_is_one_line(tmp_path: Path) -> None:
    paths = write_mr_series(
        tmp_path / "s", np.ones((5, 6, 5)), Geometry((0, 0, 0)), description="t2", number=1, descending=False
    )
    paths[2].unlink()  # 0, 3, 9 and 12 mm are left
    found = run(tmp_path, HEADER + "s,p,1,1,2,2,1.5,,,\ns,q,1,1,,,,2,2,4.2\ns,r,1,1,,,,2,2,6\n")
    assert [(row["code"], row["patient_id"]) for row in found.skipped] == [
        ("E-GEO-GAP", "p"),
        ("E-GEO-GAP", "r"),
    ]
    assert float(found.rows[0]["plane_distance_mm"]) == pytest.approx(1.2)


def test_several_series_in_a_folder_are_listed_as_far_as_one_can_be_named(tmp_path: Path) -> None:
    for folder, images in (("st/thin", 2), ("st/thick", 3), ("all", 4), ("all", 5), ("us", 1), ("us", 1)):
        number = len(list(tmp_path.rglob("*.dcm")))
        for path in write_mr_series(
            tmp_path / folder, np.ones((images, 6, 5)), Geometry((0, 0, 0)), description="t", number=number
        ):
            path.rename(path.with_name(f"{number}-{path.name}"))
    found = run(tmp_path, "image,patient_id,finding_id,label\nst,p,1,1\nall,q,1,0\nus,r,1,0\n")
    st, together, us = (row["reason"].rpartition("; ")[2] for row in found.skipped)
    assert st == "name the folder of one: thick (t, images: 3), thin (t, images: 2)"
    assert together == "name one by its SeriesInstanceUID, which ./run draft lists"
    assert us == "name a file, in a row for each that is meant"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (".", [0, 1, 2, 3, 4]),
        ("a", [0, 1, 3]),
        ("a/b", [0, 3]),
        ("a/b/1.png", [0]),
        ("a/b/e.dcm", [3]),
        ("a/b/e.dcm#2", [3]),
        ("a/bc", []),
        ("b", []),
        ("1.png", [4]),
        ("", []),
    ],
)
def test_a_name_means_a_file_a_frame_or_what_lies_below_a_folder(name: str, rows: list[int]) -> None:
    files = ["a/b/1.png", "a/bcd/1.png", "abc/1.png", "a/b/e.dcm#2", "1.png"]
    table = as_table([{"file": file, "frame": 2 if "#" in file else None} for file in files])
    assert Source("x", Path(), table, []).named(name).index.tolist() == rows
