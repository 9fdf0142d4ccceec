"""Pictures show the right place: a dot painted at a finding stays in the middle of every view."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import findings
from pipeline.errors import InputError, StoreError
from pipeline.files import read_csv
from pipeline.patches import cut, slices
from pipeline.patches.views import AUGMENTED, Frame, View, resample
from pipeline.phantom import write_phantom
from pipeline.readers import index
from pipeline.report import contact_sheet, drawing, red_dots
from pipeline.store import read_info, write_store
from tests.stores import make_store

EXTREMES = [View(r, f, s) for r in (-20, 0, 20) for f in (False, True) for s in (-1, 0, 1)]


def build(folder: Path, kind: str, patients: int, extent: str, *options: str) -> Path:
    """The stores of a phantom, made by the steps themselves."""
    write_phantom(kind, folder / "raw", patients, 0)
    raw = ["--raw", str(folder / "raw")]
    at = {name: ["--" + name, str(folder / file)] for name, file in
          {"index": "index.parquet", "findings": "findings.csv", "slices": "slices.h5"}.items()}  # fmt: skip

    def out(name: str) -> list[str]:
        return ["--out", str(folder / name), "--skipped", str(folder / f"skipped_{name}.csv")]

    index.main([*raw, *out("index.parquet"), "--files", str(folder / "files.parquet")])
    findings.main(
        [kind, "--dataset", kind, *raw, *at["index"], *out("findings.csv"), *options,
         "--choices", str(folder / "choices.csv"), "--near-duplicates", str(folder / "near.csv")]
    )  # fmt: skip
    slices.main([kind, *raw, *at["index"], *at["findings"], *out("slices.h5")])
    cut.main(
        [kind, "--dataset", kind, *at["findings"], *at["slices"], *out("patches.h5"), "--extent", extent,
         "--views", "5"]
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("brain"), "brain", 8, "15/56 side")


@pytest.fixture(scope="module")
def prostatex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channels = ("--channels", "t2", "dwi", "adc")
    return build(tmp_path_factory.mktemp("prostatex"), "prostatex", 2, "65 mm", *channels)


@settings(max_examples=25)
@given(
    st.floats(-0.5, 89.5), st.floats(-0.5, 69.5), st.floats(0.3, 4), st.floats(0.3, 4), st.floats(0.5, 2),
    st.sampled_from(AUGMENTED),
)  # fmt: skip
def test_dot_stays_within_a_pixel_of_the_patch_centre(
    column: float, row: float, step_column: float, step_row: float, aspect: float, view: View
) -> None:
    frame = Frame(column, row, step_column, step_row, aspect)
    offsets = red_dots.dot_offsets((70, 90), frame, [View(), view, *EXTREMES])
    assert np.hypot(*offsets.T).max() <= red_dots.ONE_PIXEL


def test_dot_moves_by_the_shift_alone() -> None:
    offsets = red_dots.dot_offsets((70, 90), Frame(40.3, 30.8, 0.9, 0.9), EXTREMES)
    assert np.abs(offsets[:, 0]) == pytest.approx([abs(view.shift) for view in EXTREMES], abs=0.02)
    assert offsets[:, 1] == pytest.approx(0, abs=0.02)


def test_patch_cut_at_another_place_would_be_noticed() -> None:
    frame = Frame(40.0, 30.0, 0.9, 0.9)
    slice_ = red_dots.paint_dot((70, 90), frame).astype("f4")
    mirrored = resample(slice_, Frame(90 - 1 - 40.0, 30.0, 0.9, 0.9), [View()])
    swapped = resample(slice_, Frame(30.0, 40.0, 0.9, 0.9), [View()])
    assert red_dots.centroids(mirrored)[0] == pytest.approx((-10, 0), abs=0.05)
    assert red_dots.centroids(swapped)[0] == pytest.approx((10 / 0.9, -10 / 0.9), abs=0.05)


@given(st.lists(st.integers(), min_size=1, unique=True), st.integers(1, 9))
def test_spread_takes_first_and_last_in_order(numbers: list[int], count: int) -> None:
    chosen = drawing.spread(numbers, count)
    assert len(chosen) == min(count, len(numbers)) == len(set(chosen))
    assert sorted(chosen, key=numbers.index) == chosen
    assert chosen[0] == numbers[0]
    assert count == 1 or chosen[-1] == numbers[-1]


def test_mosaic_keeps_the_places_of_patches() -> None:
    image = drawing.mosaic(np.arange(4.0).reshape(2, 2, 1, 1))
    assert image.shape == (5, 5)
    assert image[[0, 0, 4, 4], [0, 4, 0, 4]].tolist() == [0, 1, 2, 3]
    assert np.isnan(image[2]).all()


def test_names_are_short_and_tell_findings_apart() -> None:
    table = pd.DataFrame({"patient_id": ["ProstateX-0005", "b/scan (7).png", "x" * 30, "0007"],
                          "finding_id": ["1a", "scan (7)", "1", "0007_2"]})  # fmt: skip
    short = ["ProstateX-0005 · 1a", "b/scan (7).png", "…" + "x" * 17 + " · 1", "0007_2"]
    assert drawing.names(table, range(4)) == short
    assert drawing.names(table, [0]) == ["ProstateX-0005"]


@pytest.mark.parametrize("kind", ["contact-sheet", "red-dots"])
def test_picture_is_the_same_to_the_byte_each_time(brain: Path, tmp_path: Path, kind: str) -> None:
    arguments = [kind, "--store", str(brain / "patches.h5"), "--licence", "CC BY 3.0"]
    if kind == "red-dots":
        arguments += ["--findings", str(brain / "findings.csv"), "--slices", str(brain / "slices.h5")]
    before = plt.get_fignums()
    for name in ("a.png", "b.png"):
        contact_sheet.main([*arguments, "--out", str(tmp_path / name)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300
        assert "Software" not in picture.info
    assert plt.get_fignums() == before


def test_contact_sheet_says_what_the_store_holds(brain: Path) -> None:
    info = read_info(brain / "patches.h5")
    figure = contact_sheet.contact_sheet(brain / "patches.h5", licence="CC BY 3.0")
    positive = int(info.findings["label"].sum())
    texts = " ".join([text.get_text() for text in figure.texts] + [figure.get_suptitle()])
    assert f"{len(info.findings)} findings ({positive} of label 1" in texts
    assert f"{info.findings['group_id'].nunique()} groups, 5 views" in texts
    assert "CC BY 3.0" in texts
    told = contact_sheet.contact_sheet(brain / "patches.h5", table=brain / "findings.csv").get_suptitle()
    assert f"patients unknown: {info.findings['group_id'].nunique()} groups, 5 views" in told
    with pytest.raises(InputError, match="a channel of image"):
        contact_sheet.contact_sheet(brain / "patches.h5", channel="t2")
    plt.close("all")


@pytest.mark.parametrize("views", [1, 2, 3])
def test_a_contact_sheet_of_few_views_has_room_for_long_names(tmp_path: Path, views: int) -> None:
    names = [f"{'long-' * 5}{number}" for number in range(4)]
    table = pd.DataFrame({"patient_id": names, "group_id": names, "finding_id": "1", "label": [0, 1, 0, 1],
                          "width_mm": 65.0, "height_mm": 65.0})  # fmt: skip
    noise = np.random.default_rng(0).standard_normal((4, views, 1, 65, 65)).astype("f4")
    write_store(tmp_path / "a.h5", table, iter(noise), views=views, dataset="few", channels=["image"],
                normalization="series", provenance={})  # fmt: skip
    figure = contact_sheet.contact_sheet(tmp_path / "a.h5")
    figure.draw_without_rendering()  # a layout that collapses warns, and warnings are errors
    plt.close(figure)


def test_red_dot_lies_where_findings_says(brain: Path) -> None:
    table = read_csv(brain / "findings.csv").set_index("patient_id")
    figure = red_dots.red_dots(
        brain / "findings.csv", brain / "slices.h5", brain / "patches.h5", count=2, views=3
    )
    places, windows = {}, {}
    for axes in figure.axes:
        if axes.images and "°" in axes.get_title(loc="left"):  # the views of the finding to their left
            windows[list(places)[-1]].add(axes.images[0].get_clim())
        if ", label" in axes.get_title(loc="left"):
            windows[axes.get_title(loc="left").split(", label")[0]] = set()
            places[axes.get_title(loc="left").split(", label")[0]] = np.ravel(axes.lines[0].get_xydata())
    assert len(places) == 4
    assert [len(of_finding) for of_finding in windows.values()] == [1] * 4
    for patient, place in places.items():
        assert place == pytest.approx(table.loc[patient, ["column", "row"]].astype(float).to_numpy())
    plt.close("all")


def test_red_dots_fail_where_a_view_loses_the_finding(brain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = red_dots.dot_offsets
    monkeypatch.setattr(red_dots, "dot_offsets", lambda *args: np.abs(offsets(*args)) + np.array([1, 0]))
    with pytest.raises(RuntimeError, match=r"2\.00 px off the patch centre"):
        red_dots.red_dots(brain / "findings.csv", brain / "slices.h5", brain / "patches.h5")
    plt.close("all")


def test_red_dots_fail_where_the_store_was_not_cut_from_these_slices(
    brain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(pixels: np.ndarray, frame: Frame, views: list[View]) -> np.ndarray:
        return np.roll(resample(pixels, frame, views), 1, axis=2)

    monkeypatch.setattr(red_dots, "resample", shifted)
    with pytest.raises(StoreError, match="expected the views of row"):
        red_dots.red_dots(brain / "findings.csv", brain / "slices.h5", brain / "patches.h5")
    plt.close("all")


def test_alignment_shows_each_channel_and_their_overlay(prostatex: Path) -> None:
    figure = contact_sheet.alignment(prostatex / "patches.h5", count=2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:4] == ["t2", "dwi", "adc", "red, green, blue"]
    assert np.shape(figure.axes[3].images[0].get_array()) == (65, 65, 3)
    plt.close("all")


def test_the_overlay_of_two_channels_has_no_blue(tmp_path: Path) -> None:
    path, _ = make_store(tmp_path, "mine", channels=2)
    figure = contact_sheet.alignment(path, count=2)
    assert figure.axes[2].get_title(loc="left") == "red, green"
    assert not figure.axes[2].images[0].get_array()[..., 2].any()
    plt.close("all")


def test_alignment_needs_two_channels(brain: Path) -> None:
    with pytest.raises(InputError, match="expected two or more channels, found only image"):
        contact_sheet.alignment(brain / "patches.h5")
