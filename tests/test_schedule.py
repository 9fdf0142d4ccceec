"""Learning-rate curves: exact values, and that they need no memory."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from model.training.phase import SCHEDULES, schedule_problems
from model.training.schedule import CURVES, Setting, apply, curve

CYCLE = {"kind": "one-cycle"}


def test_one_cycle_has_the_published_values_over_500_iterations() -> None:
    """Romero et al.: from 1/25 of the highest rate up to it at 30 %, then down to 1/25,000; momentum mirrored."""
    found = {step: curve(CYCLE, step, 500) for step in (0, 75, 150, 325, 500)}
    middle = (1 / 25 + 1) / 2
    assert found[0] == Setting(pytest.approx(0.04), pytest.approx(0.95))
    assert found[75] == Setting(pytest.approx(middle), pytest.approx(0.9))
    assert found[150] == Setting(pytest.approx(1.0), pytest.approx(0.85))
    assert found[325] == Setting(pytest.approx((1 + 4e-5) / 2), pytest.approx(0.9))
    assert found[500] == Setting(pytest.approx(4e-5), pytest.approx(0.95))


def test_one_cycle_peaks_at_the_rounded_up_step() -> None:
    rates = [curve(CYCLE, step, 11).rate for step in range(11)]  # type: ignore[union-attr]
    assert rates.index(max(rates)) == math.ceil(0.3 * 11) == 4


def test_cosine_falls_to_its_end() -> None:
    falling = {"kind": "cosine", "end": 0.1}
    assert [curve(falling, step, 100) for step in (0, 50, 100)] == [
        Setting(pytest.approx(rate)) for rate in (1.0, 0.55, 0.1)
    ]


@given(st.sampled_from(sorted(CURVES)), st.integers(1, 3000), st.data())
def test_a_curve_stays_between_its_ends(kind: str, total: int, data: st.DataObject) -> None:
    setting = curve({"kind": kind}, data.draw(st.integers(0, total - 1)), total)
    assert setting is not None
    assert 0 <= setting.rate <= 1
    assert setting.momentum is None or 0.85 - 1e-9 <= setting.momentum <= 0.95 + 1e-9


@pytest.mark.parametrize("schedule", [None, {"kind": "plateau", "factor": 0.1, "patience": 2}])
def test_what_is_no_curve_sets_nothing(schedule: dict[str, Any] | None) -> None:
    assert curve(schedule, 3, 10) is None


def test_momentum_is_the_first_beta_of_adam_and_that_of_sgd() -> None:
    def groups() -> list[dict[str, Any]]:
        return [{"params": [nn.Parameter(torch.zeros(1))], "share": 1.0}]

    adam, sgd = torch.optim.AdamW(groups(), 0.3), torch.optim.SGD(groups(), 0.3, momentum=0.9)
    for each in (adam, sgd):
        apply(Setting(0.5, 0.8), each, 0.2)
        assert each.param_groups[0]["lr"] == pytest.approx(0.1)
    assert adam.param_groups[0]["betas"] == (0.8, 0.999)
    assert sgd.param_groups[0]["momentum"] == 0.8


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({}, "a kind of plateau, cosine, one-cycle"),
        ({"kind": "step"}, "a kind of plateau, cosine, one-cycle"),
        ({"kind": "plateau"}, "factor and patience with plateau"),
        ({"kind": "plateau", "factor": 2, "patience": 1}, "a factor between 0 and 1"),
        ({"kind": "plateau", "factor": 0.1, "patience": -1}, "a patience of 0 or more"),
        (
            {"kind": "plateau", "factor": 0.1, "patience": 1, "watch": "test"},
            "watch: validation, loss, paper",
        ),
        ({"kind": "plateau", "factor": 0.1, "patience": 1, "until": 0}, "until: a rate above 0"),
        ({"kind": "cosine", "factor": 0.1}, "cosine with end"),
        ({"kind": "cosine", "end": 2}, "end: a share from 0 to 1"),
        ({"kind": "one-cycle", "rise": 1}, "a rise between 0 and 1"),
        ({"kind": "one-cycle", "momentum": [0.9]}, "momentum: one at the ends and one at the highest rate"),
        ({"kind": "one-cycle", "momentum": [0.9, 1.0]}, "a momentum from 0 to below 1"),
    ],
)
def test_a_wrong_schedule_is_told(schedule: dict[str, Any], message: str) -> None:
    assert message in [expected for expected, _ in schedule_problems(schedule)]


def test_each_kind_is_known_to_both() -> None:
    assert set(SCHEDULES) == {"plateau", *CURVES}
