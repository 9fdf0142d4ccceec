from collections.abc import Mapping

import numpy as np
import pytest

from model.bootstrap.rules import Scores, minimum_rule, paper_rule
from model.bootstrap.staged import PILOT, Race, early_break

Table = np.ndarray
"""AUROCs (candidates, stages, data sets)."""


class Asked:
    """A table of scores that counts what is looked up."""

    def __init__(self, table: Table, names: str) -> None:
        self.table, self.names = table, names
        self.keys: list[tuple[int, int, str]] = []

    def __call__(self, candidate: int, stage: int, name: str) -> float:
        self.keys.append((candidate, stage, name))
        return float(self.table[candidate, stage, self.names.index(name)])


def race(table: Table, steps: Mapping[str, float]) -> tuple[list[Scores], Asked]:
    asked = Asked(table, "".join(steps))
    found = Race(len(table), steps, table.shape[1], asked).run()
    assert len(asked.keys) == len(set(asked.keys))
    return found, asked


def exhaustive(table: Table, names: str) -> list[Scores]:
    return [dict(zip(names, map(float, full[-1]), strict=True)) for full in table]


def draw(seed: int, error: float, count: int = 120, pairs: int = 100) -> Table:
    """Full AUROCs in steps of 1/pairs around chance, and a cheap stage with an error."""
    rng = np.random.default_rng(seed)
    full = np.rint(np.clip(rng.normal(0.5, 0.1, (count, 3)), 0, 1) * pairs) / pairs
    return np.stack([full + error * rng.standard_normal(full.shape), full], axis=1)


@pytest.mark.parametrize("seed", range(20))
def test_without_a_cheap_stage_the_pick_is_that_of_an_exhaustive_search(seed: int) -> None:
    table = draw(seed, 0.0, pairs=10)[:, 1:]  # coarse: minima and means tie
    found, asked = race(table, dict.fromkeys("abc", 0.1))
    assert minimum_rule(found)[-1] == minimum_rule(exhaustive(table, "abc"))[-1]
    assert len(asked.keys) < 0.7 * table.size
    assert asked.keys[:3] == [(0, 0, "a"), (0, 0, "b"), (0, 0, "c")]


def test_with_a_cheap_stage_few_candidates_are_scored_in_full_and_the_pick_stays() -> None:
    share, same = [], 0
    for seed in range(100):
        table = draw(seed, 0.02)
        found, asked = race(table, dict.fromkeys("abc", 0.01))
        same += minimum_rule(found)[-1] == minimum_rule(exhaustive(table, "abc"))[-1]
        share.append(sum(stage for _, stage, _ in asked.keys) / (3 * len(table)))
    assert same >= 99
    assert np.mean(share) < 0.25


def test_an_equal_minimum_may_win_by_its_mean() -> None:
    full = np.array([[0.6, 0.6], [0.6, 0.7], [0.6, 0.5]])
    found, _ = race(full[:, None], {"a": 0.1, "b": 0.1})
    assert found == [{"a": 0.6, "b": 0.6}, {"a": 0.6, "b": 0.7}, {"a": 0.6, "b": 0.5}]
    assert minimum_rule(found) == [0, 1]


def test_the_pilot_is_scored_in_every_stage_and_bounds_the_others_by_its_errors() -> None:
    # The cheap stage is .1 too low for each of the pilot: rms .1, and t(8 errors, .999) = 4.501.
    pilot = np.tile([[0.4], [0.5]], (PILOT, 1, 1))
    inside, outside = 0.5 - 0.45, 0.5 - 0.451
    table = np.concatenate([pilot, [[[inside], [0.8]], [[outside], [0.9]]]])
    found, asked = race(table, {"a": 0.001})
    assert asked.keys[: 2 * PILOT] == [(n, stage, "a") for n in range(PILOT) for stage in (0, 1)]
    assert found[PILOT:] == [{"a": 0.8}, {}]
    # However well the pilot agrees, a bound is no closer than 4.501 times the smallest step.
    exact = np.concatenate([np.full((PILOT, 2, 1), 0.5), [[[0.41], [0.8]], [[0.40], [0.9]]]])
    assert race(exact, {"a": 0.02})[0][PILOT:] == [{"a": 0.8}, {}]


def test_what_looks_better_than_the_best_is_scored_in_full_at_once_and_the_rest_from_the_top() -> None:
    pilot = np.tile([[0.5], [0.52]], (PILOT, 1, 1))  # rms .02: a bound of .09
    rest = np.array([[0.50, 0.50], [0.51, 0.51], [0.70, 0.70], [0.45, 0.45], [0.66, 0.66], [0.68, 0.68]])
    found, asked = race(np.concatenate([pilot, rest[:, :, None]]), {"a": 0.001})
    full = [number - PILOT for number, stage, _ in asked.keys if stage == 1 and number >= PILOT]
    assert full == [2, 5, 4]  # .45 is out at once, .50 and .51 as soon as .70 is the best
    assert [number for number, scores in enumerate(found) if scores] == [
        *range(PILOT),
        PILOT + 2,
        PILOT + 4,
        PILOT + 5,
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_published_shortcut_keeps_the_pick_of_the_published_rule(seed: int) -> None:
    table = draw(seed, 0.0)[:, 1:]
    asked = Asked(table, "abc")
    found = early_break(len(table), "abc", lambda number, name: asked(number, 0, name))
    assert paper_rule(found) == paper_rule(exhaustive(table, "abc"))
    assert len(found[0]) == 3
    assert all(value >= 0.5 for scores in found[1:] for value in list(scores.values())[:-1])
    assert len(asked.keys) < 0.7 * table.size
