"""A cue that tells the classes apart by itself is found, whatever it is, and chance is not taken for one."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate
from sklearn.metrics import roc_auc_score

from model.evaluation.delong import delong
from pipeline.classes import UNKNOWN, Classes
from pipeline.files import read_csv
from pipeline.patches.views import Frame
from pipeline.readers.images import jpeg
from pipeline.readers.index import as_table
from pipeline.slice_store import SourceSlice
from pipeline.store import StoreInfo
from pipeline.verify import __main__ as verify
from pipeline.verify.checks import Look, border_share, facts
from pipeline.verify.shortcuts import BRIGHTNESS, Cue, check, cues, interval, kind_wins, numeric_wins, quality
from tests.dicoms import write_ct
from tests.etl import build

TWO = Classes(("benign", "malignant"))


def codes(letters: str) -> np.ndarray:
    return np.unique(list(letters), return_inverse=True)[1]


# --- pairs and their AUROC


def test_numbers_win_where_the_positive_is_larger_and_half_where_they_are_equal() -> None:
    wins = numeric_wins(np.array([1.0, 3.0]), np.array([2.0, 1.0]))
    assert wins.tolist() == [[0, 0.5], [1, 1]]
    assert wins.mean() == 0.625


def test_a_kind_is_judged_by_its_share_among_the_other_groups() -> None:
    # Kind a: positives of 0 and 1, negative of 2; kind b: negatives of 3 and 4, positive of 5.
    truth = np.array([1, 1, 0, 0, 0, 1], bool)
    # Without 0 and 3 one of two findings of a, and one of two of b, is positive: a tie. So it is for all pairs
    # of a and b but the last with the third: without 5 and 2 all of a are positive, and none of b.
    assert kind_wins(codes("aaabbb"), truth, np.arange(6)).tolist() == [
        [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0.5, 0.5],
    ]  # fmt: skip


def test_kinds_of_one_group_say_nothing_however_many_findings_it_has() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0], bool)
    assert (kind_wins(np.arange(6), truth, np.arange(6)) == 0.5).all()
    assert (kind_wins(codes("aaabbb"), truth, codes("xxxyyy")) == 0.5).all()


def test_a_rare_size_of_one_class_moves_the_auroc_little() -> None:
    # The public CT set: 60 of 561 malignant images and 1 of 536 others have another size.
    truth = np.repeat([True, False], [561, 536])
    kinds = np.concatenate([np.arange(561) < 60, np.arange(536) < 1]).astype(int)
    won, tied = 60 * 535, 501 * 535 + 60 * 1
    wins = kind_wins(kinds, truth, np.arange(1097))
    assert wins.mean() == pytest.approx((won + tied / 2) / (561 * 536))
    area, low, _ = interval(wins, np.arange(561), np.arange(561, 1097))
    assert low > 0.5
    assert area < 0.56


@pytest.mark.parametrize("seed", [0, 1])
def test_the_interval_is_that_of_the_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, groups = np.arange(60) % 3 == 0, rng.integers(0, 25, 60)
    scores = (rng.normal(size=60) + truth).round(1)
    found = interval(numeric_wins(scores[truth], scores[~truth]), groups[truth], groups[~truth])
    areas = delong(truth.astype(int), scores[None], groups)
    assert found == pytest.approx((areas.areas[0], *(areas.interval() or ())), abs=1e-12)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_kinds_that_say_nothing_seldom_have_an_interval_above_one_half(count: int) -> None:
    rng = np.random.default_rng(count)
    above = 0
    for _ in range(400):
        truth, groups = rng.permutation(np.arange(40) < 20), rng.permutation(40)
        wins = kind_wins(rng.integers(0, count, 40), truth, groups)
        above += interval(wins, groups[truth], groups[~truth])[1] > 0.5
    assert above / 400 <= 0.1


def test_the_black_border_is_what_lies_outside_the_box_of_the_rest() -> None:
    pixels = np.zeros((10, 20))
    pixels[2:7, 5:13] = 9.0
    pixels[4, 8] = 0.0  # black inside the box
    assert border_share(pixels) == pytest.approx(1 - 5 * 8 / 200)
    assert border_share(np.ones((4, 4))) == 1.0
    assert border_share(np.eye(4)) == 0.0


# --- planted shortcuts


def told(
    labels: Sequence[object] | np.ndarray,
    of_file: Mapping[str, Sequence[object]] | None = None,
    facts: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    classes: Classes = TWO,
    groups: Sequence[str] | None = None,
    raw: Path | None = None,
) -> list[Cue]:
    """The cues of findings that are alike but for what is given."""
    count = len(labels)
    names = [f"{number:03d}" for number in range(count)]
    of_file = {"file": [f"{name}.png" for name in names], "format": ["image"] * count, **(of_file or {})}
    files = as_table([dict(zip(of_file, row, strict=True)) for row in zip(*of_file.values(), strict=True)])
    rows = pd.DataFrame({"channel": "image", "file": of_file["file"], "slice": "", "spacing_column_mm": "1",
                         "spacing_row_mm": "1"})  # fmt: skip
    values: dict[str, Sequence[float] | np.ndarray] = {name: [1.0] * count for name in ("image width", "image height", "series mean", "series SD",
                                               "patch mean", "patch SD")}  # fmt: skip
    values |= facts or {}
    seen = [
        Look(number, name, 0, 0.0, 0.0, 0.0, 0.0, {key: some[number] for key, some in values.items()})
        for number, name in enumerate(names)
    ]
    table = pd.DataFrame({"group_id": groups or names}).assign(
        **dict(zip(classes.label_columns, np.atleast_2d(np.array(labels).T), strict=True))
    )
    info = StoreInfo(Path(), "d", ("image",), 1, 65, classes, table, "", {}, {})
    return cues(info, rows, files, seen, raw)


HALF = [0, 1] * 15
"""Fifteen findings of each class, in turns."""
ONE_LESS = [0, 1] * 14 + [0, 0]
"""The same but for one malignant finding that is like the others."""


@pytest.mark.parametrize(
    ("cue", "of_file"),
    [
        ("file format", {"file": [f"{n}.{'jpg' if odd else 'PNG'}" for n, odd in enumerate(ONE_LESS)]}),
        ("scanner", {"model": [f"Model {odd}" for odd in ONE_LESS]}),
        ("modality", {"modality": ["MR" if odd else "CT" for odd in ONE_LESS]}),
        ("slice thickness", {"slice_thickness_mm": [3.0 + odd for odd in ONE_LESS]}),
    ],
)
def test_what_only_one_class_comes_with_is_a_shortcut(cue: str, of_file: dict[str, Sequence[object]]) -> None:
    (found,) = told(HALF, of_file)
    assert (found.name, found.of, found.findings, found.suspicious) == (cue, "malignant", 30, True)
    # Of 225 pairs 14 · 15 are won, and 15 are ties.
    assert found.area == pytest.approx((14 * 15 + 15 / 2) / 225)
    made = check([found])
    assert (made.result, made.count) == ("warning", 1)
    assert f"{cue} (image) 0.97 [0." in made.detail


def test_a_number_is_turned_and_its_direction_told() -> None:
    found = {
        cue.name: cue for cue in told(HALF, facts={"black border": [0.3 - 0.1 * odd for odd in ONE_LESS]})
    }
    border = found["black border"]
    assert (border.direction, border.suspicious) == ("smaller", True)
    assert border.area == pytest.approx((14 * 15 + 15 / 2) / 225)


def test_an_image_size_is_a_cue_as_a_number_and_as_a_kind() -> None:
    found = {cue.name: cue for cue in told(HALF, facts={"image width": [512 + 8 * odd for odd in ONE_LESS]})}
    assert {name for name, cue in found.items() if cue.suspicious} == {"image width", "image size"}
    assert check(list(found.values())).count == 2


def test_cues_that_have_nothing_to_do_with_the_label_give_no_warning() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    found = told(
        labels, {"model": [f"Model {n}" for n in rng.integers(0, 6, 200)]},
        {"image width": rng.integers(1, 9, 200), "black border": rng.random(200),
         "place of the patch, down": rng.random(200)},
    )  # fmt: skip
    assert [cue.name for cue in found] == [
        "scanner", "image size", "image width", "black border", "place of the patch, down",
    ]  # fmt: skip
    assert check(found).result == "ok"
    assert check(found).detail.endswith("; cues: 5")


def test_brightness_is_told_and_never_a_warning() -> None:
    (found,) = told(HALF, facts={"patch mean": HALF})
    assert (found.name in BRIGHTNESS, found.area, found.suspicious) == (True, 1.0, False)
    assert check([found]).result == "not applicable"


def test_nothing_is_told_of_fewer_than_ten_groups_of_a_class() -> None:
    few = [0, 1] * 9 + [0] * 12
    assert told(few, facts={"black border": few}) == []
    assert told(HALF, facts={"black border": HALF}, groups=[f"{n // 4}" for n in range(30)]) == []
    assert check([]).result == "not applicable"


def test_of_several_classes_the_one_that_is_told_best_is_named() -> None:
    kinds = [0, 1, 2] * 12
    (found,) = told(kinds, {"model": [f"{kind == 2}" for kind in kinds]}, classes=Classes(("a", "b", "c")))
    assert (found.of, found.area) == ("c", 1.0)


def test_findings_of_an_unknown_label_do_not_count() -> None:
    labels = [[odd, UNKNOWN if n < 4 else odd] for n, odd in enumerate(HALF)]
    of_one = [[0 if n < 15 else 1, label[1]] for n, label in enumerate(labels)]
    (found,) = told(of_one, classes=Classes(("x", "y"), multilabel=True), facts={"black border": HALF})
    assert (found.of, found.findings, found.area) == ("y", 26, 1.0)


def test_tumours_of_the_public_brain_set_have_other_proportions(shared: Path) -> None:
    files = sorted((shared / "brain").glob("*/*"))
    sizes = []
    for file in files:
        with Image.open(file) as image:
            sizes.append(image.size)
    labels = [int(file.parent.name == "yes") for file in files]
    aspect = [width / height for width, height in sizes]
    (found,) = told(labels, facts={"aspect": aspect})
    assert (found.direction, found.suspicious, len(files)) == ("smaller", True, 253)
    assert found.area == pytest.approx(1 - roc_auc_score(labels, aspect))


def test_the_middle_of_an_image_is_one_place_whatever_its_size() -> None:
    def places(column: float, row: float, shape: tuple[int, int]) -> list[float]:
        source = SourceSlice(np.ones(shape, "f4"), 0.0, 1.0)
        found = facts(source, np.ones((3, 3)), Frame(column, row, 1.0, 1.0))
        return [value for name, value in found.items() if name.startswith("place")]

    assert places(100, 150, (301, 201)) == places(100, 150, (300, 200)) == [0.5, 0.5, 0]
    assert places(39.5, 9.5, (100, 50)) == [0.8, 0.1, 0.5]  # 0.3 and 0.4 from the middle


def test_a_format_of_one_class_comes_out_on_the_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["image,patient_id,finding_id,label"]
    (tmp_path / "raw").mkdir()
    for number, odd in enumerate(HALF):
        name = f"{number:02d}.{'jpg' if odd else 'png'}"
        small = Image.fromarray(rng.integers(0, 255, (5, 5), "u1"))
        small.resize((40, 40)).save(tmp_path / "raw" / name)
        lines.append(f"{name},p{number},1,{odd}")
    (tmp_path / "raw/own.csv").write_text("\n".join(lines))
    folder = build("table", tmp_path / "raw", tmp_path / "d", "--table", "own.csv", extent="20 px", views=1)
    verify.main([str(folder), "--raw", str(tmp_path / "raw")])
    (row,) = read_csv(folder / "verify.csv").query("check == 'shortcuts'").to_dict("records")
    assert (row["result"], row["count"]) == ("warning", "1")
    assert row["detail"].startswith(
        "alone tells the classes apart, AUROC: file format (image) 1.00 [1.00, 1.00]"
    )
    page = (folder / "verify.html").read_text()
    assert "Shortcuts: what tells the classes apart by itself" in page
    assert "<td>file format</td>" in page


# --- JPEG quality

PRINTED = [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55]
"""The first two rows of the luminance table that the standard prints, that of quality 50 (T.81, K.1)."""


def as_jpeg(number: int, mode: str = "L") -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), "u1")
    Image.fromarray(pixels).convert(mode).save(content, "JPEG", quality=number)
    return content.getvalue()


def test_the_quality_of_a_jpeg_is_read_from_its_tables() -> None:
    for number in range(1, 101):
        table = jpeg.read_luminance(as_jpeg(number, "RGB" if number % 2 else "L"))
        assert table is not None
        assert jpeg.quality(table) == number
    table = jpeg.read_luminance(as_jpeg(50))
    assert table is not None
    assert table[:16] == PRINTED
    # Twice as coarse is quality 25; a table of somebody else's has the quality whose table is nearest.
    assert jpeg.quality([2 * value for value in table]) == 25
    assert jpeg.quality([value + 1 if place % 9 == 0 else value for place, value in enumerate(table)]) == 50
    assert jpeg.read_luminance(b"no picture") is None


def test_files_of_any_kind_have_a_quality_or_none(tmp_path: Path) -> None:
    """Pictures by their content; of DICOM what lies in a frame; a file that is broken or gone has none."""
    (tmp_path / "a.png").write_bytes(as_jpeg(70, "RGB"))
    Image.new("L", (9, 9)).save(tmp_path / "b.png")
    (tmp_path / "c.jpg").write_bytes(as_jpeg(70)[:30])
    plain = write_ct(tmp_path)
    ds = pydicom.dcmread(plain)
    ds.Rows = ds.Columns = 16
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    ds.PixelData = encapsulate([as_jpeg(85)])
    ds["PixelData"].VR = "OB"
    ds.save_as(tmp_path / "jpeg.dcm")
    files = {"a.png": 70.0, "b.png": np.nan, "c.jpg": np.nan, "gone.jpg": np.nan}
    found = [quality(tmp_path / name, "image") for name in files]
    np.testing.assert_array_equal(found, list(files.values()))
    assert quality(tmp_path / "jpeg.dcm", "dicom") == 85
    assert np.isnan([quality(plain, "dicom"), quality(tmp_path / "a.png", "volume")]).all()


def test_a_class_that_was_compressed_more_is_a_shortcut(tmp_path: Path) -> None:
    for number, odd in enumerate(ONE_LESS):
        (tmp_path / f"{number}.jpg").write_bytes(as_jpeg(90 - 15 * odd))
    (found,) = told(HALF, {"file": [f"{number}.jpg" for number in range(30)]}, raw=tmp_path)
    assert (found.name, found.direction, found.suspicious) == ("JPEG quality", "smaller", True)
    assert found.area == pytest.approx((14 * 15 + 15 / 2) / 225)
    assert told(HALF, {"file": [f"{number}.jpg" for number in range(30)]}) == []
