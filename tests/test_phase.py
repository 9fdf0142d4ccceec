import json
from typing import Any

import pytest

from model.methods import METHODS, typhon
from model.phase import Phase, parse_phases
from pipeline.errors import ConfigError

TRAINING = {"epochs": 10, "batches": 1, "batch_size": 8, "learning_rate": 3e-4, "dropout": 0.3}
SPECIALIZATION = {"epochs": 5, "batches": None, "batch_size": 64, "learning_rate": 9e-5, "dropout": 0.3}


def config(**specialization: Any) -> dict[str, Any]:
    settings = {"training": TRAINING, "specialization": SPECIALIZATION | specialization}
    return {"datasets": ["b", "a"], "target": "a", "hyperparameters": {"typhon": settings}}


def test_typhon_is_training_on_all_then_specialization_on_the_target() -> None:
    assert parse_phases(json.dumps(typhon(config()))) == (
        Phase("training", ("b", "a"), 10, 8, 3e-4, 1, 0.3),
        Phase("specialization", ("a",), 5, 64, 9e-5, None, 0.3),
    )


def test_specialization_of_no_epochs_is_left_out() -> None:
    assert [phase["name"] for phase in typhon(config(epochs=0))] == ["training"]


def test_a_single_data_set_is_enough() -> None:
    one = config() | {"datasets": ["a"]}
    assert [phase["datasets"] for phase in METHODS["typhon"](one)] == [["a"], ["a"]]


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
        ("[]", "expected a JSON list of phases"),
        (phase(lr=1), r"unknown \['lr'\]"),
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
