"""The Kaggle brain set: images by content, centres in two forms, and groups of near-duplicates."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import findings as findings_step
from pipeline.datasets import Source, brain
from pipeline.errors import ColumnError, LabelError
from pipeline.files import read_csv
from pipeline.readers import index
from pipeline.readers.images import read_gray
from pipeline.splits.duplicates import clusters, near_pairs, phash

OPTIONS = brain.Options()


def head(column: float, row: float, shape: tuple[int, int] = (120, 100)) -> Image.Image:
    """A bright ellipse of half size (30, 40) on black: a head at (column, row)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = ((columns - column) / 30) ** 2 + ((rows - row) / 40) ** 2 <= 1
    texture = np.random.default_rng(int(column * 100 + row)).integers(150, 250, shape)
    return Image.fromarray(np.where(inside, texture, 0).astype("u1"))


def download(raw: Path, centres: str) -> Source:
    for folder, name, column, row in (
        ("yes", "Y1.jpg", 50, 60),
        ("yes", "Y 2.PNG", 45, 55),
        ("no", "1 no.jpeg", 52, 62),
    ):
        (raw / folder).mkdir(parents=True, exist_ok=True)
        head(column, row).save(raw / folder / name, format="PNG")  # whatever the name says
    (raw / "centres.csv").write_text(centres)
    table, _, digests, errors = index.build(raw, *index._previous(raw / "no", raw / "no"), processes=1)
    assert not errors
    return Source("brain", raw, table, sorted(digests))


ANNOTATORS = (
    "kaggle_file,source,cx,cy\nyes/Y1.jpg,a polygon 0,60,40\nyes/Y1.jpg,a polygon 1,10,10\n"
    "yes/Y1.jpg,b mask,64,44\nyes/Y 2.PNG,b mask,30,75\n"
)


def test_centres_are_the_mean_of_each_annotators_first(tmp_path: Path) -> None:
    rows = brain.find(download(tmp_path, ANNOTATORS), OPTIONS).rows
    found = {row["patient_id"]: (row["label"], row["column"], row["row"], row["centre"]) for row in rows}
    assert found["yes/Y1.jpg"] == (1, "62.0000", "42.0000", "given")
    assert found["yes/Y 2.PNG"] == (1, "30.0000", "75.0000", "given")


def test_thesis_form_of_the_centres(tmp_path: Path) -> None:
    table = 'PatientID,Nodule Center Position,fid,Diagnosis\nY1,"(60, 40)",1,True\nY 2,"(30, 75)",1,True\n'
    rows = brain.find(download(tmp_path, table), OPTIONS).rows
    assert [(row["column"], row["row"]) for row in rows if row["label"]] == [
        ("30.0000", "75.0000"),
        ("60.0000", "40.0000"),
    ]


def test_an_empty_cell_of_the_thesis_form_is_no_centre(tmp_path: Path) -> None:
    table = 'PatientID,Nodule Center Position,fid,Diagnosis\nY1,"(60, 40)",1,True\nY 2,"30, 75",1,True\n1 no,,1,False\n'
    rows = brain.find(download(tmp_path, table), OPTIONS).rows
    assert [row["centre"] for row in rows] == ["matched", "given", "given"]


@pytest.mark.parametrize("cell", ["120", "x, y", "(1, 2, 3)"])
def test_a_malformed_cell_of_the_thesis_form_is_quoted(tmp_path: Path, cell: str) -> None:
    table = f'PatientID,Nodule Center Position,fid,Diagnosis\nY1,"{cell}",1,True\n'
    with pytest.raises(LabelError, match="expected a position such as"):
        brain.find(download(tmp_path, table), OPTIONS)


def test_a_lesion_without_centre_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    found = brain.find(download(tmp_path, "kaggle_file,source,cx,cy\nyes/Y1.jpg,a,60,40\n"), OPTIONS)
    assert [(row["code"], row["patient_id"]) for row in found.skipped] == [
        ("E-LESION-NOCENTRE", "yes/Y 2.PNG")
    ]
    assert len(found.rows) == 2


def test_centres_table_of_another_form_names_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="kaggle_file, source, cx, cy or PatientID"):
        brain.find(download(tmp_path, "file,x,y\n"), OPTIONS)


def test_head_box_is_the_largest_bright_part() -> None:
    image = np.array(head(50, 60), "f4")
    image[2:6, 2:6] = 255  # a letter in the corner
    middle, half = brain.head_box(image)
    np.testing.assert_allclose(middle, [50, 60], atol=1)
    np.testing.assert_allclose(half, [30, 40], atol=1)


def test_matched_centre_has_a_lesions_offset_relative_to_its_own_head(tmp_path: Path) -> None:
    rows = brain.find(download(tmp_path, ANNOTATORS), OPTIONS).rows
    drawn = next(row for row in rows if not row["label"])
    # offsets: Y1 (62−50, 42−60), Y 2 (30−45, 75−55); the head of "1 no" is at (52, 62), all of one size
    candidates = [(52 + 12, 62 - 18), (52 - 15, 62 + 20)]
    distances = [np.hypot(float(drawn["column"]) - x, float(drawn["row"]) - y) for x, y in candidates]
    assert min(distances) < 1.5
    assert drawn["centre"] == "matched"


def test_head_centre_is_the_named_alternative(tmp_path: Path) -> None:
    options = brain.Options(no_lesion_centre="head")
    drawn = next(row for row in brain.find(download(tmp_path, ANNOTATORS), options).rows if not row["label"])
    assert (float(drawn["column"]), float(drawn["row"])) == pytest.approx((52, 62), abs=1)
    assert drawn["centre"] == "head"


def test_the_second_copy_of_the_set_in_the_archive_is_ignored(tmp_path: Path) -> None:
    first = brain.find(download(tmp_path / "a", ANNOTATORS), OPTIONS).rows
    download(tmp_path / "b" / "brain_tumor_dataset", ANNOTATORS)
    second = brain.find(download(tmp_path / "b", ANNOTATORS), OPTIONS).rows
    assert first == second


@pytest.mark.parametrize(("change", "distance"), [("rescaled", 4), ("re-encoded", 4), ("another", 65)])
def test_near_duplicates_are_the_same_slice_saved_again(tmp_path: Path, change: str, distance: int) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (16, 16), dtype="u1")).resize(
        (200, 240), Image.Resampling.BICUBIC
    )
    other = Image.fromarray(rng.integers(0, 255, (16, 16), dtype="u1")).resize(
        (200, 240), Image.Resampling.BICUBIC
    )
    changed = {"rescaled": smooth.resize((150, 180)), "re-encoded": smooth, "another": other}[change]
    changed.save(tmp_path / "again.jpg", quality=70)
    hashes = np.array([phash(np.asarray(smooth, "f4")), phash(read_gray(tmp_path / "again.jpg"))], "u8")
    apart = int(np.bitwise_count(hashes[0] ^ hashes[1]))
    assert (apart <= 4) == (distance <= 4)


def test_hashes_do_not_depend_on_the_unit_of_an_image() -> None:
    eight_bit = np.random.default_rng(0).integers(0, 256, (2, 64, 64))
    eight_bit[:, 0, :2] = 0, 255
    first, second = (phash(values) for values in eight_bit)
    assert int(np.bitwise_count(np.uint64(first) ^ np.uint64(second))) > 4
    assert [phash(values) for values in (eight_bit / 256).astype("f4")] == [first, second]
    assert [phash(values.astype("u1")) for values in eight_bit] == [first, second]


def test_pairs_across_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.array([0b0, 0b11111, 0b1, 0b1111_0000_0000, 0b10], "u8")
    whole = near_pairs(hashes, threshold=2)
    monkeypatch.setattr("pipeline.splits.duplicates.PAIRS", 10)
    assert (
        sorted(map(tuple, near_pairs(hashes, threshold=2)))
        == sorted(map(tuple, whole))
        == [(0, 2, 1), (0, 4, 1), (2, 4, 2)]
    )


def test_clusters_join_through_a_common_neighbour() -> None:
    assert len(set(clusters(5, np.array([[0, 2, 1], [2, 4, 1]])))) == 3


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw, out = shared / "brain", tmp_path_factory.mktemp("brain")
    paths = {name: str(out / f"{name}.csv") for name in ("skipped", "choices", "near-duplicates")}
    index.main(
        ["--raw", str(raw), "--out", str(out / "i"), "--files", str(out / "f"), "--skipped", str(out / "s")]
    )
    call = [
        "brain",
        "--dataset",
        "brain",
        "--raw",
        str(raw),
        "--index",
        str(out / "i"),
        "--out",
        str(out / "findings.csv"),
    ]
    findings_step.main(call + [word for name, path in paths.items() for word in (f"--{name}", path)])
    return out


def test_real_set_has_253_images_and_206_groups_of_near_duplicates(shared: Path) -> None:
    files = sorted(path for path in (shared / "brain").glob("*/*"))
    hashes = np.array([phash(read_gray(path)) for path in files], "u8")
    assert len(files) == 253
    number = clusters(len(files), near_pairs(hashes))
    assert len(set(number)) == 206
    labels = {(cluster, path.parent.name) for cluster, path in zip(number, files, strict=True)}
    assert len(labels) == 206  # none of mixed label


def test_real_set_lacks_the_centres_of_five_lesions(real: Path) -> None:
    assert (
        read_csv(real / "skipped.csv")["patient_id"]
        .str.fullmatch(r"yes/Y(185|247|248|251|255)\.(jpg|JPG)")
        .sum()
        == 5
    )
    rows = read_csv(real / "findings.csv")
    assert rows["label"].value_counts().to_dict() == {"1": 150, "0": 98}
    assert rows["group_id"].nunique() == 202
