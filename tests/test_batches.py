from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training.batches import LoopLoader
from pipeline.errors import SplitError

COUNTS = st.integers(1, 60)
SIZES = st.integers(1, 17)


def labels(negative: int, positive: int) -> np.ndarray:
    return np.repeat([0, 1], [negative, positive])


def one_pass(loader: LoopLoader, number: int = 0) -> list[list[int]]:
    start = number * len(loader)
    return [loader.batch(start + place).tolist() for place in range(len(loader))]


@given(COUNTS, SIZES, st.integers(0, 3))
def test_every_pass_visits_every_sample_once(count: int, size: int, number: int) -> None:
    batches = one_pass(LoopLoader(labels(count, 0), size, "x"), number)
    assert sorted(chain(*batches)) == list(range(count))


@given(COUNTS, st.integers(2, 17))
def test_no_batch_is_a_single_sample_unless_there_is_only_one(count: int, size: int) -> None:
    sizes = [len(batch) for batch in one_pass(LoopLoader(labels(count, 0), size, "x"))]
    assert min(sizes) > 1 or count == 1
    assert all(length == size for length in sizes[:-1])
    assert sizes[-1] <= size + 1


def test_a_remainder_of_one_joins_the_batch_before_it() -> None:
    assert [len(batch) for batch in one_pass(LoopLoader(labels(17, 0), 8, "x"))] == [8, 9]
    assert [len(batch) for batch in one_pass(LoopLoader(labels(18, 0), 8, "x"))] == [8, 8, 2]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_a_batch_depends_on_its_number_alone(numbers: list[int]) -> None:
    walked = LoopLoader(labels(13, 7), 4, "seed", 1)
    expected = [walked.batch(number).tolist() for number in range(101)]
    jumped = LoopLoader(labels(13, 7), 4, "seed", 1)
    assert [jumped.batch(number).tolist() for number in numbers] == [expected[number] for number in numbers]


def test_passes_and_names_shuffle_differently() -> None:
    orders = [
        tuple(chain(*one_pass(LoopLoader(labels(30, 0), 8, name), number)))
        for name in ("x", "y")
        for number in (0, 1, 2)
    ]
    assert len(set(orders)) == 6


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 3))
def test_undersampling_takes_as_many_of_each_class_in_turn(negative: int, positive: int, number: int) -> None:
    loader = LoopLoader(labels(negative, positive), 4, "x", balance="undersample")
    drawn = np.array(list(chain(*one_pass(loader, number))))
    least = min(negative, positive)
    assert len(drawn) == loader.samples == 2 * least
    assert len(set(drawn.tolist())) == 2 * least
    assert (labels(negative, positive)[drawn] == np.tile([0, 1], least)).all()


def test_undersampling_draws_anew_in_each_pass() -> None:
    loader = LoopLoader(labels(50, 3), 6, "x", balance="undersample")
    drawn = [
        frozenset(index for index in chain(*one_pass(loader, number)) if index < 50) for number in range(5)
    ]
    assert len(set(drawn)) == 5


def test_undersampling_one_class_says_so() -> None:
    with pytest.raises(SplitError, match=r"E-SPLIT: .*found 5 negative and 0 positive training samples"):
        LoopLoader(labels(5, 0), 4, "x", balance="undersample")


@pytest.mark.parametrize("balance", ["views", "undersample"])
@pytest.mark.parametrize("count", [0, 1, 64])
def test_samples_are_drawn_as_numpy_draws_them_by_their_weights(balance: str, count: int) -> None:
    # Seven of one class and three of the other weigh 1/7 and 1/3, or all the same.
    each = [1 / 7] * 7 + [1 / 3] * 3 if balance == "undersample" else [1.0] * 10
    drawn = LoopLoader(labels(7, 3), 4, "x", balance=balance).draw(np.random.default_rng(0), count)
    expected = np.random.default_rng(0).choice(10, count, p=np.array(each) / sum(each))
    np.testing.assert_array_equal(drawn, expected)
