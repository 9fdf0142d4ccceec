"""Patches whose size a column of the user's table says."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from pipeline.card import Preprocessing
from pipeline.case import prepare
from pipeline.datasets.listed import extent_of
from pipeline.errors import ConfigError, LabelError
from pipeline.files import read_csv
from pipeline.report.red_dots import red_dots
from pipeline.store import read_info, read_patches
from tests.etl import build
from tests.test_config import CONFIG
from workflow import ahead
from workflow.config import checked

SIZES = {"20 px": "20", "40 px": "40 PX", "": ""}
"""Extents, and how the table writes them."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 pictures of 12 patients; three sizes of patches in turn."""
    folder = tmp_path_factory.mktemp("extents") / "raw"
    folder.mkdir()
    rng, rows = np.random.default_rng(0), ["image,patient_id,finding_id,label,x,y,size_px"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (100, 120), "u1")).save(folder / f"{number:02}.png")
        size = [*SIZES.values()][number % 3]
        rows.append(f"{number:02}.png,P{number:02},1,{number % 2},60,50,{size}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def sized(raw: Path) -> Path:
    return build(
        "table", raw, raw.parent / "sized", "--table", "t.csv", "--extent-column", "size_px", extent="60 px"
    )


def test_each_patch_is_that_of_a_data_set_in_which_all_have_its_size(raw: Path, sized: Path) -> None:
    own = read_patches(sized / "patches.h5", range(12), [2] * 12).reshape(12, 2, -1)
    for place, extent in enumerate(["20 px", "40 px", "60 px"]):
        folder = build("table", raw, raw.parent / extent, "--table", "t.csv", extent=extent)
        alike = read_patches(folder / "patches.h5", range(12), [2] * 12).reshape(12, 2, -1)
        np.testing.assert_array_equal(own[place::3], alike[place::3])
        assert "extent" not in read_csv(folder / "findings.csv"), (
            "without the option nothing is as the table says"
        )
        assert "extents" not in read_info(folder / "patches.h5").provenance
    assert read_csv(sized / "findings.csv")["extent"].tolist() == [*SIZES] * 4
    assert read_info(sized / "patches.h5").provenance["extents"] is True


def test_red_dots_draw_the_outline_of_each(sized: Path) -> None:
    # it refuses a store whose patches are not those of its frames
    plt.close(red_dots(sized / "findings.csv", sized / "slices.h5", sized / "patches.h5"))


def test_a_new_case_has_to_say_its_size_where_each_finding_of_the_training_has_one(
    raw: Path, sized: Path
) -> None:
    how = Preprocessing("table", ("image",), "60 px", None, "series", "geometry", 2, 0, 2, extents=True)
    row = {"patient_id": "P00", "finding_id": "1", "x": "60", "y": "50"}
    case = prepare(raw / "00.png", {**row, "extent": "20 px"}, how)
    np.testing.assert_array_equal(case.patches.ravel(), read_patches(sized / "patches.h5", [0], [2]).ravel())
    assert case.frames[0].step_column == pytest.approx(20 / 65)
    with pytest.raises(
        ConfigError, match=r"00.png: expected the extent of its patch.*found none; give it, such as --ext"
    ):
        prepare(raw / "00.png", row, how)


def test_a_cell_that_is_no_size_is_told_before_any_job(raw: Path) -> None:
    table = (raw / "t.csv").read_text().replace("1,0,60,50,20\n", "1,0,60,50,2 cm\n", 1)
    (raw / "slip.csv").write_text(table)
    own = {"kind": "table", "table": "slip.csv", "extent_column": "size_px"}
    config = checked(
        CONFIG | {"datasets": ["a"], "target": "a", "collections": {"a": own}, "raw": {"a": str(raw)}}
    )
    (line,) = map(str, ahead.of(config, "a"))
    (raw / "slip.csv").unlink()
    assert "slip.csv: expected a size such as 40 mm or 60 px, found '2 cm' in size_px of 00.png" in line


@pytest.mark.parametrize(
    ("cell", "header", "extent"),
    [
        ("40 mm", "size", "40 mm"), ("60px", "size", "60 px"), (" 7.50 MM ", "size", "7.5 mm"), ("", "size", ""),
        ("12,5", "diameter_mm", "12.5 mm"), ("12", "Size (mm)", "12 mm"), ("30", "px", "30 px"), ("30 px", "size_mm", "30 px"),
    ],
)  # fmt: skip
def test_a_cell_has_its_unit_or_that_of_its_header(cell: str, header: str, extent: str) -> None:
    assert extent_of(cell, header) == extent


@pytest.mark.parametrize(
    "cell", ["40", "40 cm", "0 mm", "-3 mm", "1/3 side", "forty mm", "1e3 mm", "0.0000001 mm"]
)
def test_what_is_no_size_is_refused(cell: str) -> None:
    with pytest.raises(
        LabelError, match=r"E-LABEL: expected a size such as 40 mm or 60 px, found .*; write the unit"
    ):
        extent_of(cell, "size of the comm")
