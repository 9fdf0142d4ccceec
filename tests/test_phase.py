import json
from typing import Any

import pytest

from model.training.methods import METHODS, phases, started_on
from model.training.phase import Phase, check_names, parse_phases
from pipeline.errors import ConfigError

TRAINING = {"epochs": 10, "batches": 1, "batch_size": 8, "learning_rate": 3e-4, "dropout": 0.3}
STEPS = {
    "typhon": ("training", "specialization"), "parallel": ("training",), "classical": ("training",),
    "finetune": ("training",), "joint": ("training",), "multitask": ("training",), "pooled": ("training",),
    "pretrain": ("training",), "transfer": ("first", "support", "last"),
    "hydra": ("first", "support_head", "support", "last_head", "last"),
}  # fmt: skip
"""The steps that the settings know of, by method."""


def config(samples: int | None = None, **step: Any) -> dict[str, Any]:
    """Three data sets, target b; ``step`` changes the last step of each method."""
    settings: dict[str, Any] = {
        method: {name: TRAINING | {"share": 1.0} for name in steps} for method, steps in STEPS.items()
    }
    for method, steps in STEPS.items():
        settings[method][steps[-1]] |= step
    comparison = {"target_samples": samples, "batch_size": 16}
    return {
        "datasets": ["a", "b", "c"], "target": "b", "comparison": comparison, "hyperparameters": settings,
    }  # fmt: skip


def shape(method: str) -> list[tuple[Any, ...]]:
    """Name, data sets and peculiarities of each phase of a method."""
    found = parse_phases(json.dumps(phases(method, config())))
    return [
        (one.name, "".join(one.datasets), "frozen" if one.frozen else one.step, dict(one.head))
        for one in found
    ]


def test_each_method_is_what_its_paper_says() -> None:
    assert shape("classical") == [("training", "b", "turns", {})]
    assert shape("typhon") == [("training", "abc", "turns", {}), ("specialization", "b", "turns", {})]
    assert shape("parallel") == [("training", "abc", "turns", {})]
    assert shape("finetune") == [("training", "b", "turns", {})]
    assert shape("joint") == [("training", "abc", "joint", {})]
    assert shape("multitask") == [("training", "abc", "mixed", {})]
    assert shape("pretrain") == shape("multitask")
    assert shape("pooled") == [("training", "abc", "mixed", {"a": "b", "c": "b"})]
    assert shape("rwg") == []
    # Target, supports, target: one head for all.
    assert shape("transfer") == [
        ("DS1/Full", "b", "turns", {}), ("DS2/Full", "a", "turns", {"a": "b"}),
        ("DS3/Full", "c", "turns", {"c": "b"}), ("DS4/Full", "b", "turns", {}),
    ]  # fmt: skip
    # Hydra, Algorithm 1: a new head for each support; the target's first one comes back.
    assert shape("hydra") == [
        ("DS1/Full", "b", "turns", {}),
        ("DS2/Frozen", "a", "frozen", {"a": "new"}), ("DS2/Full", "a", "turns", {}),
        ("DS3/Frozen", "c", "frozen", {"c": "new"}), ("DS3/Full", "c", "turns", {}),
        ("DS4/Frozen", "b", "frozen", {}), ("DS4/Full", "b", "turns", {}),
    ]  # fmt: skip


def test_the_numbers_of_a_phase_are_those_of_its_step() -> None:
    first, last = parse_phases(json.dumps(phases("typhon", config(epochs=5, batches=None, select="best"))))
    assert first == Phase("training", ("a", "b", "c"), 10, 8, 3e-4, 1, 0.3)
    assert last == Phase("specialization", ("b",), 5, 8, 3e-4, None, 0.3, select="best")


def test_a_step_of_no_epochs_is_left_out() -> None:
    assert [phase["name"] for phase in phases("typhon", config(epochs=0))] == ["training"]


@pytest.mark.parametrize("method", METHODS)
def test_a_single_data_set_is_enough(method: str) -> None:
    one = config() | {"datasets": ["b"]}
    assert {name for phase in phases(method, one) for name in phase["datasets"]} <= {"b"}
    parse_phases(json.dumps(phases(method, one)))


def test_equal_target_samples_part_them_by_share() -> None:
    wanted = config(3200, share=0.25)
    wanted["hyperparameters"]["typhon"]["training"]["share"] = 0.75
    first, last = phases("typhon", wanted)
    # 3,200 · 0.75 in batches of 16, one per epoch; whatever the step itself says.
    assert [(one["epochs"], one["batches"], one["batch_size"]) for one in (first, last)] == [
        (150, 1, 16), (50, 1, 16),
    ]  # fmt: skip


def test_no_step_is_lost_to_rounding_and_none_comes_back() -> None:
    few = config(100, share=0.01)
    assert [one["epochs"] for one in phases("transfer", few)] == [6, 6, 6, 1]
    assert [one["name"] for one in phases("typhon", config(100, epochs=0))] == ["training"]


def test_the_bootstrap_scores_what_the_first_phase_trains() -> None:
    found = {method: started_on(phases(method, config()), config()) for method in METHODS}
    alone = {"classical", "finetune", "transfer", "hydra", "rwg"}
    assert found == {method: ["b"] if method in alone else ["a", "b", "c"] for method in METHODS}


def test_a_learning_rate_may_be_given_per_data_set() -> None:
    (phase,) = parse_phases(
        json.dumps([{"name": "x", "datasets": ["a", "b"], **TRAINING, "learning_rate": {"a": 1, "b": 2}}])
    )
    assert (phase.rate("a"), phase.rate("b")) == (1, 2)


def phase(**changes: Any) -> str:
    return json.dumps([{"name": "x", "datasets": ["a", "b"], **TRAINING, **changes}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a JSON list of phases"),
        ("[1]", "expected a JSON list of phases"),
        (phase(lr=1), r"unknown \['lr'\]"),
        (phase(frosen=True), "did you mean frozen"),
        (phase(step="jiont"), "step: turns, joint, mixed, found jiont"),
        (phase(select="first"), "select: last, best, found first"),
        (phase(step="joint", learning_rate={"a": 1, "b": 1}), "one learning_rate, as a joint step has one"),
        (phase(schedule={"kind": "step"}), "a kind of plateau, cosine, one-cycle, found 'step'"),
        (phase(schedule={"kind": "plateau", "factor": 2, "patience": 1}), "a factor between 0 and 1, found 2"),
        (phase(optimizer="rmsprop"), "optimizer: adam, adamw, sgd, found rmsprop"),
        (phase(weight_decay=-1), "a weight_decay of 0 or more, found -1"),
        (phase(momentum=1), "a momentum from 0 to below 1, found 1"),
        (phase(dropout={"a": 0.1}), r"a dropout per data set, found none for \['b'\]"),
        (phase(dropout={"a": 0.1, "b": 0.2}, step="mixed"), "one dropout, as a mixed step has one batch"),
        (phase(dropout={"a": 0.1, "b": 1}), "a dropout from 0 to below 1"),
        (phase(batch_norm="test"), "batch_norm: train, eval, found test"),
        (phase(balance="classes"), "balance: views, undersample, found classes"),
        (phase(weight=2), "a weight with step: joint alone, found 2"),
        (phase(step="joint", weight={"a": 0, "b": 1}), "a weight above 0"),
        (phase(layers={"rate": 1}), "layers with groups, decay, fixed, unfreeze, found rate"),
        (phase(layers={"decay": 0}), "a decay above 0, and 1 at most, found 0"),
        (phase(layers={"fixed": 2}), "fixed: a share from 0 to 1, found 2"),
        (phase(layers={"unfreeze": [0.1]}), "groups: 2 with 1 to unfreeze, found None"),
        (phase(layers={"groups": 3, "unfreeze": [0.2, 0.1]}), "unfreeze: rising shares from 0 to below 1"),
        (phase(layers={}, frozen=True), "no layers in a frozen phase"),
        (phase(stop=3), "stop: 1 or more, with select: best, found 3"),
        ('[{"name": "x", "datasets": ["a"]}]', r"missing \['batch_size', 'batches', .*\], unknown \[\]"),
        (phase(epochs=0), "epochs of 1 or more, found 0"),
        (phase(batches=0), "batches of 1 or more, found 0"),
        (phase(batch_size=0), "batch_size of 1 or more, found 0"),
        (phase(dropout=1), "a dropout from 0 to below 1, found 1"),
        (phase(learning_rate=0), "a learning_rate above 0, found 0"),
        (phase(learning_rate={"a": 1}), r"a learning_rate per data set, found none for \['b'\]"),
        (phase(datasets=["a", "a"]), "distinct data sets"),
        (phase(datasets=[]), "distinct data sets"),
        (json.dumps(json.loads(phase()) * 2), "distinct names"),
    ],
)  # fmt: skip
def test_a_wrong_phase_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_phases(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": ["a", "bb"]}, "phase x: expected one of the data sets a, b, found bb; did you mean b"),
        ({"head": {"aa": "new"}}, "head in phase x: .* found aa; did you mean a"),
        ({"head": {"a": "zebra"}}, "head in phase x: .* found zebra; give its store"),
    ],
)
def test_an_unknown_name_is_met_with_the_nearest(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_names(parse_phases(phase(**changes)), "a", ["a", "b"])
