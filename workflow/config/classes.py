"""What does not go with the classes of data sets: methods and settings for two, and heads that are shared."""

from collections.abc import Iterator, Mapping
from typing import Any

from model.evaluation.predictions import columns
from model.training.checks import judged_in, unlike_heads
from model.training.checks import misfits as of_training
from model.training.methods import METHODS, phases
from pipeline.classes import Classes
from pipeline.errors import ConfigError
from workflow.config.collections import classes_of
from workflow.config.messages import error

FOR_TWO = ("adc",)
"""Methods that tell two classes apart, and no more."""


def misfits(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What a config asks of data sets that their classes or labels do not allow."""
    classes = _known(config)
    target = classes.get(config["target"])
    if target is None or all(own.two for own in classes.values()):
        return
    bases = {name: config["variants"].get(name, {}).get("method", name) for name in config["methods"]}
    for name, base in bases.items():
        if base in FOR_TWO and not target.two:
            yield error(["methods"], f"{name}, and {config['target']} of {target}",
                        expected="a target of two classes for it", remedy="leave it out")  # fmt: skip
    if config["challenge"] and not target.two:
        yield error(["challenge"], f"{config['challenge']}, and {config['target']} of {target}",
                    expected="a target of two classes: its table has one score of each finding",
                    remedy="leave it out")  # fmt: skip
    if config["split"]["kind"] == "paper" and (
        several := [name for name in classes if classes[name].multilabel]
    ):
        yield error(["split", "kind"], f"paper, and {several[0]} of {classes[several[0]]}",
                    expected="another kind for labels")  # fmt: skip
    trained = [name for name, base in bases.items() if base in METHODS and name in METHODS]
    if trained:
        training = {key: config["training"][key] for key in ("loss", "selection")}
        balance = config["balance"]
        visited = [(phase["select"], phase["datasets"]) for name in trained for phase in phases(name, config)]
        judged = judged_in(config["target"], visited)
        for key, found, expected in of_training(classes, judged, **training, balance=balance):
            yield error(key.split("/"), found, expected=expected)
        try:
            columns(classes.values())
        except ConfigError as problem:
            yield problem
    for name in trained:
        heads = [(phase["name"], phase.get("head", {})) for phase in phases(name, config)]
        for key, found, expected in unlike_heads(heads, classes):
            yield error(["methods", name, *key.split("/")[1:]], found, expected=expected,
                        remedy="leave the method out, or the data set")  # fmt: skip


def _known(config: Mapping[str, Any]) -> dict[str, Classes]:
    """The classes of the data sets; of none whose keys do not fit together, which is said elsewhere."""
    found = {}
    for name in config["datasets"]:
        try:
            found[name] = classes_of(config["collections"][name])
        except (ConfigError, KeyError):
            return {}
    return found
