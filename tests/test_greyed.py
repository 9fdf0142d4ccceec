"""Pictures in colour that are read in grey: known by their pixels, counted, and told where training had none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from PIL import Image

from model.predict import main as predict
from model.report import shift
from pipeline.files import read_csv, write_csv
from pipeline.phantom import Geometry, write_mr_series
from pipeline.readers.images import read_picture
from pipeline.readers.pixels import read_pixels
from pipeline.slice_store import read_facts, slice_numbers
from pipeline.splits import external
from tests.made_runs import train, write_card, write_patches
from tests.test_external import split_args
from tests.test_pixels import change, mr  # noqa: F401  (mr is a fixture)

GREY = np.arange(0, 250, 10, dtype="u1").reshape(5, 5)
WARNING = "images are in colour and are read in grey; none in training is known to be"


def planes(*add: int) -> np.ndarray:
    """The grey picture in three channels, one pixel of which has these levels more of red, green and blue."""
    pixels = np.repeat(GREY[..., None], 3, axis=2)
    pixels[2, 3] += np.array(add, "u1")
    return pixels


@pytest.mark.parametrize(
    ("name", "image", "greyed"),
    [
        ("a.png", Image.fromarray(GREY), False),
        ("a.png", Image.fromarray(planes(0, 0, 0)), False),
        ("a.png", Image.fromarray(planes(8, 0, 0)), False),  # as JPEG tints grey
        ("a.png", Image.fromarray(planes(0, 0, 9)), True),
        ("a.png", Image.fromarray(planes(0, 90, 0)).convert("RGBA"), True),
        ("a.gif", Image.fromarray(planes(90, 0, 0)).quantize(30), True),
        ("a.gif", Image.fromarray(GREY).convert("P"), False),
        ("a.jpg", Image.fromarray(planes(0, 0, 0)), False),
        ("a.png", Image.fromarray(np.dstack([planes(90, 0, 0), GREY * 0])), False),  # transparent is black
    ],
)  # fmt: skip
def test_a_picture_is_in_colour_if_its_colours_differ_by_more_than_a_tint(
    tmp_path: Path, name: str, image: Image.Image, greyed: bool
) -> None:
    image.save(tmp_path / name)
    assert read_picture(tmp_path / name).greyed is greyed
    assert read_pixels(tmp_path / name).greyed is greyed


@pytest.mark.parametrize(("blue", "greyed"), [(30_000, False), (34_000, True)])
def test_of_sixteen_bits_a_tint_is_as_small_a_share(tmp_path: Path, blue: int, greyed: bool) -> None:
    pixels = np.array([[[30_000, 30_000, blue], [1, 2, 3]]], "u2")
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "a.png"))
    assert read_pixels(tmp_path / "a.png").greyed is greyed


@pytest.mark.parametrize(("green", "greyed"), [(0, False), (90, True)])
def test_a_dicom_image_may_be_in_colour_too(mr: Path, green: int, greyed: bool) -> None:  # noqa: F811
    change(mr, planes(0, green, 0), SamplesPerPixel=3, PhotometricInterpretation="RGB",
           PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7)  # fmt: skip
    assert read_pixels(mr).greyed is greyed


# --- from pictures to predictions


def write_site(raw: Path, count: int, coloured: Callable[[int], bool], seed: int) -> None:
    """Noise with a table; of the first patients, and of the others, every second one is positive."""
    raw.mkdir(parents=True)
    rng, rows = np.random.default_rng(seed), []
    for number in range(count):
        pixels = np.repeat(rng.integers(60, 160, (40, 40, 1), dtype="u1"), 3, axis=2)
        if coloured(number):
            pixels[10:20, 10:20, 0] += 90
        Image.fromarray(pixels).save(raw / f"{number}.png")
        rows.append(
            {
                "image": f"{number}.png",
                "patient_id": f"s{seed}-{number}",
                "finding_id": 1,
                "label": number % 2,
            }
        )
    write_csv(raw / "t.csv", ("image", "patient_id", "finding_id", "label"), rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of grey pictures, and runs on it; one where a third are in colour, and one where half of few are."""
    folder = tmp_path_factory.mktemp("greyed")
    for seed, (name, count, coloured) in enumerate(
        (("grey", 16, lambda _: False), ("mixed", 16, lambda number: number % 3 == 0), ("b", 4, lambda number: number < 2))
    ):  # fmt: skip
        write_site(folder / "raw" / name, count, coloured, seed)
        write_patches(
            folder / "data" / name, "table", folder / "raw" / name, "whole", find=["--table", "t.csv"]
        )
        if name != "b":
            write_card(folder / "data" / name, "table")
            train(folder / "data", folder / "results" / name, [name], 1)
    return folder


def told(folder: Path, run: str, out: Path, case: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of a prediction by the run on a site."""
    caplog.clear()
    model = folder / "results" / run / "typhon/fold0/seed0"
    predict([str(case), "--model", str(model), "--out", str(out)])
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_the_card_says_whether_pictures_in_training_were_in_colour(folder: Path) -> None:
    known = {
        name: json.loads((folder / "data" / name / "cards/fold0.json").read_text())
        for name in ("grey", "mixed")
    }
    of = {
        name: colours
        for name, one in known.items()
        for colours in [about["colours"] for about in one["with_validation"]["fingerprint"].values()]
    }
    assert of == {"grey": ["none"], "mixed": ["none", "read in grey"]}
    path = folder / "data/b/slices.h5"
    assert [one and one.greyed for one in read_facts(path, slice_numbers(path) or [])] == [
        True,
        True,
        False,
        False,
    ]


def test_the_step_that_reads_pictures_says_how_many_are_in_colour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "typhon")
    write_site(tmp_path / "raw", 4, lambda number: number < 2, 9)
    write_patches(tmp_path / "data", "table", tmp_path / "raw", "whole", find=["--table", "t.csv"])
    assert "2 of 4 slices are in colour and are read in grey; colour: rgb keeps colours" in caplog.messages


def test_colours_of_dicom_are_counted_but_no_key_keeps_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "typhon")
    rng = np.random.default_rng(0)
    for number in range(2):
        (path,) = write_mr_series(
            tmp_path / f"raw/{number}",
            np.ones((1, 20, 20)),
            Geometry((0, 0, 0)),
            description="us",
            number=number,
        )
        pixels = rng.integers(0, 255, (20, 20, 3), dtype="u1")
        change(path, pixels, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB")
    (tmp_path / "raw/t.csv").write_text("image,patient_id,finding_id,label\n0,p,1,0\n1,q,1,1\n")
    write_patches(tmp_path / "data", "table", tmp_path / "raw", "whole", find=["--table", "t.csv"])
    assert "2 of 2 slices are in colour and are read in grey" in caplog.messages


def test_colours_that_training_had_not_are_told_once_with_their_number(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cases = folder / "raw/b"
    assert told(folder, "grey", tmp_path / "t", cases / "t.csv", caplog) == [f"2 of 4 {WARNING}"]
    outside = read_csv(tmp_path / "t/predictions.csv")["outside"].tolist()
    assert ["colours read in grey, in training none" in note for note in outside] == [
        True,
        True,
        False,
        False,
    ]
    assert told(folder, "grey", tmp_path / "a", cases / "0.png", caplog) == [f"1 of 1 {WARNING}"]
    assert told(folder, "grey", tmp_path / "c", cases / "3.png", caplog) == []


def test_where_training_had_such_pictures_nothing_is_said(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert told(folder, "mixed", tmp_path / "t", folder / "raw/b/t.csv", caplog) == []
    assert not any("colours" in note for note in read_csv(tmp_path / "t/predictions.csv")["outside"])


def test_of_an_older_card_which_knows_no_colours_they_are_told_too(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = shutil.copytree(folder / "results/mixed", folder / "results/older", dirs_exist_ok=True)
    path = older / "typhon/fold0/seed0/card.json"
    about = json.loads(path.read_text())
    for known in about["datasets"]["mixed"]["fingerprint"].values():
        del known["colours"], known["image_width"], known["image_height"]
    path.write_text(json.dumps(about))
    assert told(folder, "older", tmp_path / "a", folder / "raw/b/0.png", caplog) == [f"1 of 1 {WARNING}"]
    outside = json.loads((tmp_path / "a/prediction.json").read_text())["outside_training"]
    assert not any("colours" in note or "image" in note.split(" ")[1] for note in outside)


def test_an_external_data_set_with_colours_is_told_with_their_number(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = folder / "data"
    for name, warnings in (("grey", [f"b: 2 of 4 {WARNING}"]), ("mixed", [])):
        words = [word.replace(str(data / "a"), str(data / name)) for word in split_args(data)]
        external.main(words)
        caplog.clear()
        out = folder / f"{name}.csv"
        shift.main(["--target", str(data / name), "--splits", str(data / name / "splits/fold0.csv"),
                    "--external", str(data / "b"), "--out", str(out)])  # fmt: skip
        assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == warnings
        row = next(row for row in read_csv(out).to_dict("records") if row["what"] == "colours")
        assert row["external"] == "read in grey 50%, none 50%"
        assert row["outside"] == ("0.5000" if warnings else "0.0000")
