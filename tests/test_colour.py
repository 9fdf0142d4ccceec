"""Pictures in red, green and blue as channels, such as tiles of pathology; in training and for a new case."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from model.predict import main as predict
from pipeline import findings
from pipeline.datasets.table import Options
from pipeline.errors import ConfigError
from pipeline.files import read_csv
from pipeline.readers.images import deep, read_colours, read_gray
from pipeline.readers.pixels import COLOURS, read_pixels
from pipeline.report.contact_sheet import contact_sheet
from pipeline.store import read_info, read_patches
from tests import made_runs
from tests.test_table import raw, run, source_of  # noqa: F401  (raw is a fixture)
from workflow.config.collections import channels_of

RED, GREEN, BLUE, CLEAR = (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50, 0)


def saved(path: Path, pixels: list[list[tuple[int, ...]]], mode: str = "RGB", **options: object) -> Path:
    Image.fromarray(np.array(pixels, "u1"), mode).save(path, **options)
    return path


def test_colours_are_planes_turned_as_they_are_seen_and_black_where_nothing_is(tmp_path: Path) -> None:
    flat = saved(tmp_path / "a.png", [[RED, GREEN, BLUE]])
    assert read_colours(flat).tolist() == [[[255, 0, 0]], [[0, 255, 0]], [[0, 0, 255]]]
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera lay on its side: left becomes top
    side = saved(tmp_path / "b.png", [[RED, GREEN, BLUE]], exif=turned)
    assert read_colours(side)[0].tolist() == [[255], [0], [0]]
    assert read_colours(side).shape == (3, 3, 1)
    seen = saved(tmp_path / "c.png", [[(*RED, 255), CLEAR]], "RGBA")
    assert read_colours(seen).tolist() == [[[255, 0]], [[0, 0]], [[0, 0]]]
    few = Image.open(flat).quantize(3)
    few.save(tmp_path / "d.gif")
    assert read_colours(tmp_path / "d.gif").tolist() == read_colours(flat).tolist()


def test_grey_has_three_planes_alike_whatever_its_depth(tmp_path: Path) -> None:
    for number, values in enumerate((np.array([[0, 90]], "u1"), np.array([[0, 40_000]], "u2"))):
        path = tmp_path / f"{number}.png"
        Image.fromarray(values).save(path)
        assert read_colours(path).tolist() == [values.tolist()] * 3
    assert deep.colours(np.array([[[7, 65535], [8, 0]]], "u2")).tolist() == [[[7, 0]]] * 3


def test_sixteen_bits_of_each_colour_are_kept(tmp_path: Path) -> None:
    pixels = np.array([[[60_000, 5, 0], [1, 2, 3]]], "u2")
    image = sitk.GetImageFromArray(pixels, isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.png"))
    assert read_colours(tmp_path / "a.png").tolist() == np.moveaxis(pixels, -1, 0).tolist()


@given(arrays("u1", st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))))
def test_grey_is_the_luma_of_the_colours(pixels: np.ndarray) -> None:
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    with Image.open(stored) as image:
        assert np.abs(np.asarray(image.convert("L")) - deep.grey(pixels)).max() <= 1


class TestTable:
    def test_a_picture_has_three_channels_and_nothing_else_has(self, raw: Path) -> None:  # noqa: F811
        lines = "image,patient_id,finding_id,label,x,y,z\na.png,p,1,1,3,4,\nv.mha,p,2,0,3,4,5\n"
        found = run(raw, lines, "--colour", "rgb")
        assert [(row["channel"], row["slice"], row["column"]) for row in found.rows] == [
            (name, name, "3.0000") for name in COLOURS
        ]
        (left,) = found.skipped
        assert left["code"] == "E-LESION-NOSERIES"
        assert "expected a picture, for its colours" in left["reason"]

    def test_the_config_knows_the_channels_and_refuses_neighbours_beside_them(self) -> None:
        assert channels_of({"colour": "rgb"}, "tiles") == ["red", "green", "blue"]
        with pytest.raises(ConfigError, match="neighbours: expected nothing beside colour"):
            Options(table="t.csv", colour="rgb", neighbours="3 mm")


def write_tiles(folder: Path) -> None:
    """Tiles of eight slides, each with a folder per class: pink stroma, and tumour that is blue in the middle."""
    rng = np.random.default_rng(0)
    for slide in range(8):
        for number, kind in enumerate(("stroma", "tumour")):
            pixels = rng.normal((220, 120, 180), 12, (40, 40, 3))
            pixels[10:30, 10:30] -= np.array((100, 40, 0)) * number
            path = folder / f"slide{slide}" / kind / "tile1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(pixels.clip(0, 255).astype("u1")).save(path)


def test_tiles_in_folders_go_to_the_store_by_slide_and_a_new_one_is_cut_alike(tmp_path: Path) -> None:
    write_tiles(tmp_path / "raw")
    data, find = tmp_path / "data/tiles", ["--folders", "stroma=0", "tumour=1", "--colour", "rgb"]
    store = made_runs.write_patches(
        data, "table", tmp_path / "raw", "whole", find=[*find, "--patient-pattern", "^(slide[0-9]+)/"]
    )
    info, findings = read_info(store), read_csv(data / "findings.csv")
    assert info.channels == COLOURS
    assert info.findings["group_id"].value_counts().to_dict() == {f"slide{number}": 2 for number in range(8)}
    assert len(findings) == 8 * 2 * 3
    # One mean and one deviation for all colours of a picture, so that colours stay apart: red is the brightest.
    first = read_patches(store, [0], [1])[0]
    pixels = read_colours(tmp_path / "raw" / findings["file"][0])
    expected = (pixels - pixels.mean()) / pixels.std()
    inner = first[:, 17:48, 17:48].mean(axis=(1, 2)), expected[:, 10:30, 10:30].mean(axis=(1, 2))
    np.testing.assert_allclose(*inner, atol=0.03)
    assert inner[0][0] > inner[0][2] > inner[0][1]
    assert read_pixels(tmp_path / "raw" / findings["file"][0], "green").values.tolist() == pixels[1].tolist()
    sheet = contact_sheet(store)
    assert "in colour" in sheet.get_suptitle()
    shown = sheet.axes[0].images[0].get_array()[17:48, 17:48].mean(axis=(0, 1))
    assert shown[0] > shown[2] > shown[1]
    made_runs.write_card(data, "table")
    folder = made_runs.train(tmp_path / "data", tmp_path / "results", ["tiles"], 3)
    finding = info.findings.iloc[0]
    predict([str(tmp_path / "raw" / findings["file"][0]), "--model", str(folder), "--out", str(tmp_path / "out"),
             "--patient-id", finding["patient_id"], "--finding-id", finding["finding_id"]])  # fmt: skip
    assert np.load(tmp_path / "out/patches.npy")[0] == pytest.approx(first, abs=1e-5)
    places = json.loads((tmp_path / "out/prediction.json").read_text())["places"]
    assert [place["channel"] for place in places] == list(COLOURS)


def test_grey_pictures_are_read_as_ever(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", [[RED, GREEN], [BLUE, (9, 9, 9)]])
    assert read_gray(path).tolist() == [[76, 150], [29, 9]]  # 255 × .299, .587, .114
    assert read_pixels(path).values.tolist() == read_gray(path).tolist()


def test_near_duplicates_in_colour_are_one_pair(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", [[RED, GREEN], [BLUE, RED]])
    saved(tmp_path / "b.png", [[RED, GREEN], [BLUE, RED]])
    lines = "image,patient_id,finding_id,label\na.png,p,1,0\nb.png,q,1,1\na.png,p,2,0\n"
    found = run(tmp_path, lines, "--colour", "rgb")
    (pair,) = findings.group(found, source_of(tmp_path))
    assert (pair["file_1"], pair["file_2"], pair["distance"]) == ("a.png", "b.png", 0)
