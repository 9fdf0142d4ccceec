"""Neighbouring slices as channels, of volumes and of DICOM series, in training and for a new case."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.predict import main as predict
from pipeline.datasets.neighbours import of_channels, offsets
from pipeline.errors import ConfigError
from pipeline.phantom import Geometry, write_mr_series
from pipeline.readers.pixels import read_pixels
from pipeline.store import read_info, read_patches
from tests import made_runs
from tests.test_table import VOXELS, raw, run  # noqa: F401  (raw is a fixture)

HEADER = "image,patient_id,finding_id,label,x,y,z\n"
UPRIGHT = Geometry((-10.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0), 2.0)


def channels(rows: list[dict]) -> dict[str, tuple[str, str]]:
    return {row["channel"]: (row.get("slice") or row["file"], row["plane_distance_mm"]) for row in rows}


@pytest.mark.parametrize(
    ("mm", "z", "expected"),
    [
        ("4 mm", 5, {"-4 mm": ("2:4", "0.000"), "0 mm": ("2:5", "0.000"), "+4 mm": ("2:6", "0.000")}),
        ("9 mm", 5, {"-9 mm": ("2:3", "-1.000"), "0 mm": ("2:5", "0.000"), "+9 mm": ("2:7", "1.000")}),
        # Slices are 4 mm apart: one that is nearer than that is the next one, never the same.
        ("1.5 mm", 5, {"-1.5 mm": ("2:4", "2.500"), "0 mm": ("2:5", "0.000"), "+1.5 mm": ("2:6", "-2.500")}),
        ("4 mm", 9, {"-4 mm": ("2:8", "0.000"), "0 mm": ("2:9", "0.000"), "+4 mm": ("2:9", "4.000")}),
    ],
)  # fmt: skip
def test_a_volume_gives_the_slices_at_that_distance_and_says_how_far_they_are_off(
    raw, mm, z, expected,  # noqa: F811
) -> None:  # fmt: skip
    found = run(raw, HEADER + f"v.mha,p,1,1,4,7,{z}\n", "--neighbours", mm)
    assert channels(found.rows) == expected
    assert {(row["column"], row["row"], row["finding_id"]) for row in found.rows} == {
        ("4.0000", "7.0000", "1")
    }
    for row in found.rows:
        number = int(row["slice"].split(":")[1])
        assert (read_pixels(raw / "v.mha", row["slice"]).values == VOXELS[:, :, number].T).all()


def test_a_picture_has_no_neighbours(raw) -> None:  # noqa: F811
    found = run(raw, HEADER + "a.png,p,1,1,3,4,\n", "--neighbours", "3 mm")
    assert [row["code"] for row in found.skipped] == ["E-LESION-NOSERIES"]
    assert "expected a volume or a DICOM series" in found.skipped[0]["reason"]


@pytest.mark.parametrize("text", ["3", "0 mm", "-3 mm", "3 cm"])
def test_what_is_no_distance_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="neighbours: expected a distance above 0"):
        offsets(text)


def test_channels_say_what_they_are() -> None:
    assert list(of_channels(("-3 mm", "0 mm", "+3 mm")).values()) == [-3, 0, 3]
    assert of_channels(("t2", "adc", "dwi")) == of_channels(("image",)) == {}


def test_a_series_goes_all_the_way_to_the_prediction_of_a_new_case(tmp_path: Path) -> None:
    """What the network saw of a case is what training had of it, slice by slice."""
    rng, lines = np.random.default_rng(0), [HEADER.strip()]
    for patient in range(8):
        pixels = rng.normal(200, 20, (9, 48, 48)) + 100 * np.arange(9)[:, None, None]
        write_mr_series(
            tmp_path / f"raw/s{patient}",
            pixels,
            UPRIGHT,
            description="t2",
            number=1,
            patient_id=f"P{patient}",
        )
        lines.append(f"s{patient},P{patient},1,{patient % 2},20,24,4")
    (tmp_path / "raw/t.csv").write_text("\n".join(lines) + "\n")
    data, find = tmp_path / "data/mine", ["--table", "t.csv", "--neighbours", "4 mm"]
    store = made_runs.write_patches(data, "table", tmp_path / "raw", "30 px", find=find)
    info = read_info(store)
    assert info.channels == ("-4 mm", "0 mm", "+4 mm")
    first = read_patches(store, [0], [1])[0]
    # Slices lie 2 mm apart and grow brighter by 100 each, so those at 4 mm differ by 200, in one scale for all.
    means = first.mean(axis=(1, 2))
    assert means[1] - means[0] == pytest.approx(means[2] - means[1], rel=0.05)
    made_runs.write_card(data, "table")
    run_folder = made_runs.train(tmp_path / "data", tmp_path / "results", ["mine"], 3)
    predict([str(tmp_path / "raw/s0"), "--at", "20,24,4", "--model", str(run_folder), "--patient-id", "P0",
             "--out", str(tmp_path / "out")])  # fmt: skip
    assert np.load(tmp_path / "out/patches.npy")[0] == pytest.approx(first, abs=1e-5)
    places = json.loads((tmp_path / "out/prediction.json").read_text())["places"]
    assert [place["channel"] for place in places] == ["-4 mm", "0 mm", "+4 mm"]
