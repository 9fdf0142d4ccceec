"""The card of a data set: what of it a prediction needs, counted and measured on the training findings alone."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import card
from pipeline.errors import StoreError
from pipeline.files import read_csv
from pipeline.phantom import Geometry, write_mr_series
from pipeline.slice_store import write_slices
from pipeline.store import read_patches
from tests.dicoms import change
from tests.made_runs import write_card, write_patches


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve pictures, of which number n has the mean 10·n + 10 and about as much noise."""
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = np.random.default_rng(0)
    lines = ["image,patient_id,finding_id,label"]
    for number in range(12):
        image = np.clip(rng.normal(10 * number + 100, 10, (40, 40)), 0, 255)
        Image.fromarray(image.astype("u1")).save(raw / f"{number}.png")
        lines.append(f"{number}.png,P{number},1,{number % 2}")
    (raw / "t.csv").write_text("\n".join(lines) + "\n")
    write_patches(tmp_path / "mine", "table", raw, "20 px", find=["--table", "t.csv"])
    write_card(tmp_path / "mine", "table")
    return tmp_path / "mine"


def test_ranges_and_counts_are_those_of_the_training_findings(data: Path) -> None:
    made = json.loads((data / "cards/fold0.json").read_text())
    splits = read_csv(data / "splits/fold0.csv")
    train = splits[splits["split"] == "train"]
    assert 0 < len(train) < 12
    assert made["training"] == {
        "findings": len(train),
        "positives": (train["label"] == "1").sum(),
        "groups": len(train),
        "views": train["views"].astype(int).sum(),
    }
    images = {n: np.asarray(Image.open(data.parent / f"raw/{n}.png"), float) for n in range(12)}
    numbers = [int(patient[1:]) for patient in train["patient_id"]]
    means = [images[number].mean() for number in numbers]
    known = made["fingerprint"]["image"]
    assert known["series_mean"] == pytest.approx([min(means), max(means)], rel=1e-5)
    stored = read_csv(data / "findings.csv")["patient_id"].tolist()
    rows = [stored.index(patient) for patient in train["patient_id"]]
    spreads = read_patches(data / "patches.h5", rows, [1] * len(rows)).std(axis=(1, 2, 3))
    assert known["patch_sd"] == pytest.approx([spreads.min(), spreads.max()], rel=1e-4)
    assert known["format"] == ["image"]
    assert [known[name] for name in ("modality", "spacing_column_mm", "slices")] == [None, None, None]


def test_what_validation_findings_add_stands_beside_it(data: Path) -> None:
    made = json.loads((data / "cards/fold0.json").read_text())
    splits = read_csv(data / "splits/fold0.csv")
    learned = splits[splits["split"].isin(["train", "validation"])]
    assert len(learned) > made["training"]["findings"]
    both = made["with_validation"]
    assert both["training"] == {
        "findings": len(learned),
        "positives": (learned["label"] == "1").sum(),
        "groups": len(learned),
        "views": learned["views"].astype(int).sum(),
    }
    images = [
        np.asarray(Image.open(data.parent / f"raw/{patient[1:]}.png"), float)
        for patient in learned["patient_id"]
    ]
    means = [image.mean() for image in images]
    assert both["fingerprint"]["image"]["series_mean"] == pytest.approx([min(means), max(means)], rel=1e-5)


def test_a_card_says_how_the_patches_were_cut_and_holds_no_id_or_path(data: Path) -> None:
    text = (data / "cards/fold0.json").read_text()
    assert json.loads(text)["preprocessing"] == {
        "kind": "table", "channels": ["image"], "extent": "20 px", "window": None, "intensity": "series",
        "slice_rule": "geometry", "axis": 2, "side": 65, "view_seed": 0, "views": 3,
    }  # fmt: skip
    assert json.loads(text)["classes"] == ["label 0", "label 1"]
    assert "P1" not in text
    assert ".png" not in text
    assert str(data) not in text
    classes = ["--classes", '["gutartig", "bösartig"]']
    write_patches(
        data.parent / "named",
        "table",
        data.parent / "raw",
        "20 px",
        find=["--table", "t.csv"],
        classes=classes,
    )
    write_card(data.parent / "named", "table")
    made = json.loads((data.parent / "named/cards/fold0.json").read_text())
    assert made["classes"] == ["gutartig", "bösartig"]


def test_slices_of_another_run_are_noticed(data: Path) -> None:
    write_slices(data / "slices.h5", [(0, np.zeros((4, 4), "f4"))], lambda _: (0.0, 1.0), {})
    with pytest.raises(
        StoreError, match=r"slices\.h5: expected slices, found none of some training findings"
    ):
        write_card(data, "table")


def test_a_fingerprint_leaves_out_what_is_unknown() -> None:
    measured = pd.DataFrame({name: [1.0, np.nan, 3.0] for name in card.MEASURES})
    measured = measured.assign(
        channel="a", format="dicom", modality=["MR", "", "MR"], colours="", slices=np.nan
    )
    known = card.fingerprint(measured)["a"]
    assert known["modality"] == ["MR"]
    assert known["series_mean"] == [1.0, 3.0]
    assert known["slices"] is None
    case = measured.iloc[[0]].assign(series_mean=3.2, slices=5.0)
    assert list(card.outside({"a": known}, case)) == [
        "a: mean intensity of the series 3.2, in training 1 to 3"
    ]


def test_dicom_without_a_pixel_spacing_has_none_in_the_card(tmp_path: Path) -> None:
    # Ultrasound has its scale in regions, mammography that of the detector: neither has PixelSpacing.
    raw = tmp_path / "raw"
    rng = np.random.default_rng(0)
    lines = ["image,patient_id,finding_id,label"]
    for number in range(12):
        image = rng.integers(0, 255, (1, 40, 40)).astype(float)
        (path,) = write_mr_series(
            raw / str(number), image, Geometry((0, 0, 0)), description="us", number=1, patient_id=f"P{number}"
        )
        change(path, PixelSpacing=None)
        lines.append(f"{number},P{number},1,{number % 2}")
    (raw / "t.csv").write_text("\n".join(lines) + "\n")
    write_patches(tmp_path / "mine", "table", raw, "20 px", find=["--table", "t.csv"])
    write_card(tmp_path / "mine", "table")
    known = json.loads((tmp_path / "mine/cards/fold0.json").read_text())["fingerprint"]["image"]
    assert known["spacing_column_mm"] is None
    assert known["image_width"] == [40, 40]
    assert set(read_csv(tmp_path / "mine/findings.csv")["spacing_row_mm"]) == {""}
