"""A column that tells the split, and copies of known patients' pictures whose patient nobody knows: the whole flow."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import LeakError
from pipeline.files import read_csv, write_csv
from pipeline.splits import given
from pipeline.splits.split import read_splits
from tests.made_runs import write_patches

COLUMNS = ("image", "patient_id", "finding_id", "label", "split", "site")
PATIENTS = 12
"""Of whom the last four are tested; the odd ones are positive."""


def split(folder: Path, copies: Mapping[str, tuple[int, str]], kind: str = "given") -> dict[str, str]:
    """The split of each image of known patients, and of copies of theirs of nobody: of whom, and marked how.

    Each copy is saved as a JPEG of half the size, so that no byte of it is that of the picture.
    """
    raw, data, rng = folder / "raw", folder / "data", np.random.default_rng(0)
    raw.mkdir()
    rows, pictures = [], {}
    for number in range(PATIENTS):
        small = Image.fromarray(rng.integers(0, 255, (9, 9), dtype="u1"))
        pictures[number] = small.resize((90, 90), Image.Resampling.BICUBIC)
        pictures[number].save(raw / f"{number}.png")
        place = "test" if number >= 8 else "train"
        rows.append((f"{number}.png", f"P{number}", "1", number % 2, place, place))
    for name, (of, place) in copies.items():
        pictures[of].resize((45, 45)).save(raw / name)
        rows.append((name, "", "1", of % 2, place, place))
    write_csv(raw / "t.csv", COLUMNS, [dict(zip(COLUMNS, row, strict=True)) for row in rows])
    write_patches(data, "table", raw, "whole", find=["--table", "t.csv"])
    n, column = ("2", "site") if kind == "sites" else ("1", "split")
    given.main(["--store", str(data / "patches.h5"), "--skipped", str(data / "skipped.csv"), "--raw", str(raw),
                "--index", str(data / "index.parquet"), "--table", "t.csv", "--kind", kind, "--column", column, "--n", n,
                "--majority-views", "2", "--evaluation-views", "2", "--validation", "0.25",
                "--out", str(data / "splits/fold0.csv")])  # fmt: skip
    splits = read_splits(data / "splits/fold0.csv")
    files = read_csv(data / "findings.csv").set_index("patient_id")["file"]
    return {
        files[patient]: place for patient, place in zip(splits["patient_id"], splits["split"], strict=True)
    }


@pytest.mark.parametrize("kind", ["given", "sites"])
def test_a_copy_in_the_test_of_a_patient_who_trains_is_a_leak_with_the_patient_named(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(LeakError) as caught:
        split(tmp_path, {"copy.jpg": (3, "test")}, kind)
    assert str(caught.value).endswith(
        "found groups in several splits: P3; correct the column that split/column names, or take these rows out; "
        "for copies of images see near_duplicates.csv of the data set"
    )
    (pair,) = read_csv(tmp_path / "data/near.csv").to_dict("records")  # as the rule: near_duplicates.csv
    assert {pair["file_1"], pair["file_2"]} == {"3.png", "copy.jpg"}
    assert not (tmp_path / "data/splits/fold0.csv").exists()


def test_a_copy_in_the_split_of_its_patient_stays_beside_them_in_training_and_validation(
    tmp_path: Path,
) -> None:
    found = split(tmp_path, {f"copy{number}.jpg": (number, "train") for number in range(8)})
    assert all(found[f"copy{number}.jpg"] == found[f"{number}.png"] for number in range(8))
    assert sorted({*found.values()}) == ["test", "train", "validation"]
    groups = read_csv(tmp_path / "data/findings.csv").set_index("file")["group_id"]
    assert all(groups[f"copy{number}.jpg"] == f"P{number}" for number in range(8))
