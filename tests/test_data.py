from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from model.training import data
from pipeline.errors import EmptyError, InputError, LeakError, SplitError
from pipeline.files import read_csv, write_csv
from pipeline.store import read_patches
from tests.stores import make_store

CPU = torch.device("cpu")


def edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = change(read_csv(path))
    write_csv(path, table.columns, table.to_dict("records"))


def test_a_part_holds_the_views_that_its_split_grants(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", train=4, validation=2, test=2, views=3)

    def grant(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(views=[1, 2, 3, 1, 2, 2, 3, 3]).iloc[::-1]  # in another order than the store

    edit(split, grant)
    part = data.read_part(data.load([store], [split])["a"], "train", CPU)
    assert part.table["patient_id"].tolist() == ["0003", "0002", "0001", "0000"]
    assert part.finding.tolist() == [0, 1, 1, 1, 2, 2, 3]
    assert part.view.tolist() == [0, 0, 1, 2, 0, 1, 0]
    assert part.labels.tolist() == [1, 0, 0, 0, 1, 1, 0]
    expected = read_patches(store, [3, 2, 1, 0], [1, 3, 2, 1])
    assert torch.equal(part.patches, torch.from_numpy(expected))


def test_fewer_views_are_the_first_ones(tmp_path: Path) -> None:
    dataset = data.load(*([path] for path in make_store(tmp_path, "a", train=4, views=3)))["a"]
    assert data.read_part(dataset, "train", CPU, views=2).view.tolist() == [0, 1] * 4


def test_a_split_without_findings_is_an_empty_part(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", validation=0)
    part = data.read_part(data.load([store], [split])["a"], "validation", CPU)
    assert len(part.labels) == len(part.view) == len(part.table) == 0


def test_findings_of_a_patient_are_told_apart(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a")
    edit(split, lambda table: table.assign(finding_id="2"))
    with pytest.raises(SplitError, match=r"E-SPLIT .*a\.csv: .*found 16 others: 0000/2 0001/2"):
        data.load([store], [split])


def test_another_label_than_the_stored_one_is_an_error(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a")
    edit(split, lambda table: table.assign(label=["1", *table["label"][1:]]))
    with pytest.raises(SplitError, match="found 1 others: 0000/1"):
        data.load([store], [split])


def test_more_views_than_stored_are_an_error(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", views=3)
    edit(split, lambda table: table.assign(views=4))
    with pytest.raises(SplitError, match="at most 3 views"):
        data.load([store], [split])


def test_a_group_in_two_splits_stops_the_training(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", train=8)

    def leak(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(group_id=[*table["group_id"][:-1], "0000"])

    edit(split, leak)
    with pytest.raises(LeakError, match=r"E-LEAK .*0000"):
        data.load([store], [split])


def test_no_training_findings_is_an_error(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", train=0)
    with pytest.raises(EmptyError, match="found no training findings"):
        data.load([store], [split])


def test_stores_must_fit_together(tmp_path: Path) -> None:
    one, split = make_store(tmp_path, "a")
    other, other_split = make_store(tmp_path, "b", channels=3)
    with pytest.raises(InputError, match=r"expected one split table per store, found 1 stores and 2 splits"):
        data.load([one], [split, split])
    with pytest.raises(InputError, match=r"expected stores of different data sets, found \['a', 'a'\]"):
        data.load([one, one], [split, split])
    with pytest.raises(
        InputError, match=r"as many channels in every data set, found a: channel0, b: channel0\+"
    ):
        data.load([one, other], [split, other_split])
