"""Where a viewer goes: every picture once and in order, never out of the stack, and back again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.view.moves import Moves

COUNTS = st.dictionaries(st.sampled_from("xyz"), st.integers(1, 6), min_size=1)
STACKS = st.builds(Moves, COUNTS, st.integers(1, 4), low=st.just(-100.0), high=st.just(300.0))
ANY = st.tuples(STACKS, st.integers(-100, 200)).map(lambda pair: pair[0].step(pair[1]))
TWO = Moves({"x": 4, "z": 3}, times=2)


def place(moves: Moves) -> tuple[str, int, int]:
    return moves.axis, moves.time, moves.slice


@given(STACKS)
def test_the_wheel_shows_every_picture_once_axis_by_axis_and_time_by_time(moves: Moves) -> None:
    shown = [place(moves.step(number)) for number in range(moves.total)]
    assert shown == [
        (axis, time, slice_)
        for axis, count in moves.counts.items()
        for time in range(moves.times)
        for slice_ in range(count)
    ]


def test_at_the_end_of_a_time_the_wheel_goes_on_to_the_first_slice_of_the_next() -> None:
    assert place(TWO.at("x", 3, 0).step(1)) == ("x", 1, 0)
    assert place(TWO.at("x", 3, 1).step(1)) == ("z", 0, 0)  # after the last time the next axis
    assert place(TWO.at("z", 2, 1).step(1)) == ("z", 1, 2)  # and there it ends


@given(ANY, st.integers(-50, 50))
def test_no_step_leads_out_and_a_step_back_returns(moves: Moves, steps: int) -> None:
    there = moves.step(steps)
    assert 0 <= there.number < moves.total
    if there.number == moves.number + steps:
        assert there.step(-steps) == moves


@given(ANY, st.integers(-5, 5))
def test_another_time_is_the_same_slice_of_the_same_axis(moves: Moves, steps: int) -> None:
    there = moves.step_time(steps)
    assert (there.axis, there.slice) == (moves.axis, moves.slice)
    assert there.time == min(max(moves.time + steps, 0), moves.times - 1)


@given(ANY)
def test_turning_goes_through_all_axes_at_the_same_time(moves: Moves) -> None:
    there, axes = moves, []
    for _ in moves.counts:
        axes.append(there.axis)
        there = there.turn()
        assert there.time == moves.time
    assert sorted(axes) == sorted(moves.counts)
    assert there.axis == moves.axis


@given(ANY, st.floats(-1, 1), st.floats(-1, 1))
def test_a_drag_changes_the_window_alone_and_leaves_it_a_width(
    moves: Moves, across: float, up: float
) -> None:
    there = moves.drag(across, up)
    assert place(there) == place(moves)
    assert there.low < there.high
    # Half way across doubles the width 400 twice; the centre 100 moves by what was the width.
    assert math.isclose(there.high - there.low, 400 * 2 ** (4 * across), rel_tol=1e-9)
    assert math.isclose((there.high + there.low) / 2, 100 + 400 * up, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(("slice_", "time"), [(-3, 0), (99, 99)])
def test_a_place_outside_is_the_nearest_one_inside(slice_: int, time: int) -> None:
    assert place(TWO.at("x", slice_, time)) == (("x", 0, 0) if slice_ < 0 else ("x", 1, 3))


def test_over_and_over_again_is_as_before() -> None:
    assert TWO.turn_over().flip
    assert TWO.turn_over().turn_over() == TWO
