"""The map of embeddings: components by hand, neighbours of other groups, scanners, and a picture of all that."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.baselines import embeddings
from model.report import embedding_map
from model.report.embedding_map import agreement, components, scanners
from pipeline.errors import StoreError
from pipeline.files import FINDING_COLUMNS, write_csv
from tests.stores import make_store


def test_points_on_a_line_have_one_component_with_a_sign_that_is_fixed() -> None:
    line = np.outer(np.array([-1.0, 0, 0, 1, 2]), [1.0, -2.0])
    places, shares = components(np.hstack([line, np.full((5, 1), 7.0)]))
    assert shares[0] == pytest.approx(1)
    assert places[:, 0].argmax() in (0, 4)
    np.testing.assert_allclose(components(-np.hstack([line, np.full((5, 1), 7.0)]))[0][:, 0], places[:, 0])
    spread = np.abs(places[:, 0] - places[1, 0])
    np.testing.assert_allclose(spread / spread[3], [1, 0, 0, 1, 2], atol=1e-9)


@pytest.mark.parametrize("block", [3, 512])
def test_neighbours_are_alike_as_often_as_they_are(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Two clumps of ten, far apart, however many findings are looked at together."""
    monkeypatch.setattr("model.report.embedding_map.BLOCK", block)
    rng = np.random.default_rng(0)
    places = rng.normal(size=(20, 3)) + np.repeat([0, 100], 10)[:, None]
    clump, odd = np.repeat(["a", "b"], 10), np.tile(["a", "b"], 10)
    assert agreement(places, clump) == (1.0, pytest.approx(9 / 19))
    near, anywhere = agreement(places, odd)
    assert abs(near - anywhere) < 0.25
    # Of other groups alone: where a clump is one group, its neighbours are all of the other clump.
    assert agreement(places, clump, clump) == (0.0, 0.0)
    assert np.isnan(agreement(places, odd, np.full(20, "one"))).all()


def test_a_scanner_is_manufacturer_and_model_or_the_size_of_a_picture(tmp_path: Path) -> None:
    files = {"file": ["a.dcm", "b.png"], "format": ["dicom", "png"], "manufacturer": ["ACME", None],
             "model": ["One", None], "rows": [5, 7.0], "columns": [6, 8.0]}  # fmt: skip
    pd.DataFrame(files).to_parquet(tmp_path / "index.parquet")
    rows = [{"patient_id": str(number), "finding_id": "1", "channel": "x", "file": file}
            for number, file in enumerate(["a.dcm#3", "b.png", "c.png"])]  # fmt: skip
    write_csv(tmp_path / "findings.csv", FINDING_COLUMNS, rows)
    found = scanners(tmp_path / "findings.csv", tmp_path / "index.parquet")
    assert found["scanner"].tolist() == ["ACME One", "png 8 × 7", "unknown"]


def test_the_picture_is_the_same_each_time_and_of_this_store(tmp_path: Path) -> None:
    store, _ = make_store(tmp_path, "a", train=12, validation=0, test=0)
    flags = [
        "--encoder",
        "small",
        "--network",
        "papers",
        "--weights",
        "random",
        "--side",
        "65",
        "--views",
        "1",
    ]
    embeddings.main(
        ["--store", str(store), *flags, "--checkpoint", str(tmp_path / "c"), "--out", str(tmp_path / "e.h5")]
    )
    keys = {"format": "png", "manufacturer": "", "model": "", "rows": 65, "columns": 65}
    pd.DataFrame([{"file": "a.png", **keys}]).to_parquet(tmp_path / "index.parquet")
    rows = [
        {"patient_id": f"{number:04d}", "finding_id": "1", "channel": "x", "file": "a.png"}
        for number in range(12)
    ]
    write_csv(tmp_path / "findings.csv", FINDING_COLUMNS, rows)

    def drawn(store: Path, name: str) -> bytes:
        out = tmp_path / name
        embedding_map.main(["--embeddings", str(tmp_path / "e.h5"), "--store", str(store), "--out", str(out),
                            "--findings", str(tmp_path / "findings.csv"), "--index", str(tmp_path / "index.parquet")])  # fmt: skip
        return out.read_bytes()

    assert drawn(store, "one.png") == drawn(store, "two.png")
    other, _ = make_store(tmp_path, "b", train=12, validation=0, test=0)
    with pytest.raises(StoreError, match=r"E-STORE .*expected the embeddings of"):
        drawn(other, "three.png")
