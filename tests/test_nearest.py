"""Training findings as points: which are near, how far that is, and what a damaged file says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.baselines import nearest
from model.baselines.logistic import Measured
from model.files import weights
from pipeline.classes import Classes
from pipeline.errors import InputError

TWO = Classes(("no", "yes"))


def measured(values: list[list[float]], groups: str, labels: list[int]) -> Measured:
    """Findings with two views each, as far above as below their ``values``."""
    number = np.arange(len(values))
    table = pd.DataFrame({"patient_id": list(groups), "finding_id": number.astype(str), "label": labels})
    table["group_id"] = list(groups)
    views = np.repeat(np.array(values), 2, axis=0) + np.tile([[-0.5], [0.5]], (len(values), 1))
    return Measured(views, np.repeat(number, 2), np.tile([0, 1], len(values)), table)


def test_distances_are_those_of_standardised_means_over_views() -> None:
    """Of 0, 2, 4, 6: mean 3, sd sqrt(5); the second feature is constant and counts for nothing."""
    known = nearest.build(measured([[0, 7], [2, 7], [4, 7], [6, 7]], "abcd", [0, 1, 0, 1]), TWO)
    found = known.find(np.array([[2.0, 7.0], [3.0, 7.0]]), 2)  # the mean of its views is 2.5
    assert [one["patient_id"] for one in found] == ["b", "c"]
    assert [one["label"] for one in found] == ["yes", "no"]
    assert [one["distance"] for one in found] == pytest.approx([0.5 / 5**0.5, 1.5 / 5**0.5])
    assert known.usual == pytest.approx(2 / 5**0.5)


def test_what_is_usual_is_asked_of_other_groups() -> None:
    known = nearest.build(measured([[0], [1], [7], [8]], "aabb", [0, 1, 0, 1]), TWO)
    sd = np.std([0, 1, 7, 8])
    assert known.usual == pytest.approx(6.5 / sd)  # 7, 6, 6, 7
    assert nearest.build(measured([[0], [1]], "aa", [0, 1]), TWO).usual is None


def test_more_are_asked_for_than_there_are() -> None:
    known = nearest.build(measured([[0], [1]], "ab", [0, 1]), TWO)
    assert len(known.find(np.array([[0.0]]), 9)) == 2


def test_labels_have_names_and_what_nobody_knows_has_none() -> None:
    classes = Classes(("x", "y"), multilabel=True)
    one = measured([[0], [1], [2]], "abc", [0, 0, 0])
    table = one.table.assign(label_x=[1, 0, 255], label_y=[1, 0, 1])
    known = nearest.build(Measured(one.values, one.finding, one.view, table, classes), classes)
    assert [each["label"] for each in known.findings] == ["x, y", "", "y"]


def test_what_is_written_is_read_and_the_same_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    known = nearest.build(measured(rng.normal(size=(40, 50)).tolist(), "abcde" * 8, [0, 1] * 20), TWO)
    for name in "ab":
        nearest.write(tmp_path / name, known, "lite0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again, member = nearest.read(tmp_path / "a")
    assert member == "lite0"
    case = rng.normal(size=(3, 50))
    assert [one["finding_id"] for one in again.find(case, 5)] == [one["finding_id"] for one in known.find(case, 5)]  # fmt: skip
    assert again.directions.shape == (50, nearest.DIRECTIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about, _: about.pop("nearest"), "Type"),
        (lambda about, _: about["nearest"].update(findings=[3, 4]), "Type"),
        (lambda _, tensors: tensors["points"].fill_(float("nan")), "not finite"),
        (lambda _, tensors: tensors["sd"].zero_(), "a deviation of 0"),
        (lambda about, _: about["nearest"].pop("usual"), "usual"),
        (lambda about, _: about["nearest"]["findings"].pop(), r"points \(2, 1\) of 1 findings"),
        (lambda _, tensors: tensors.pop("points"), "points"),
        (lambda _, tensors: tensors.update(mean=tensors["mean"][:0]), "0 features of 1"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / nearest.FILE
    nearest.write(path, nearest.build(measured([[0], [1]], "ab", [0, 1]), TWO))
    about, tensors = weights.read_about(path), weights.read_tensors(path)
    change(about, tensors)
    path.write_bytes(weights.to_bytes(tensors, **about))
    with pytest.raises(InputError, match=message):
        nearest.read(path)
