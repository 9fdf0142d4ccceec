"""What does not fit about external data sets: they are scored by runs that know the target alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import ConfigError
from workflow import plain
from workflow.config.collections import channels_of, classes_of
from workflow.config.messages import error, nearest

SHOWN = ("extent", "intensity", "window", "neighbours")
"""Keys of a collection that show in the patches: a network has to see them as it has learned to."""
SHOWN_BY_SOME = ("slice_rule", "width", "mask_extent")
"""The same of keys that only some kinds of collections have."""

LAST_AXIS = 2
"""Along which volumes are sliced if a collection names no axis, or has no such key."""


def contradictions(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What does not fit about ``external``."""
    known, target = config["collections"], config["target"]
    for name in config["external"]:
        path = ["external"]
        if name not in known:
            yield error(path, name, expected="an entry in collections", remedy=nearest(name, known))
        elif name in (*config["datasets"], config["challenge"]):
            yield error(path, name, expected="a collection that is nothing else in the experiment")
        elif target in known:
            yield from _unlike(config, name)
    if config["external"] and config["split"]["kind"] == "all":
        yield error(["external"], "split/kind all", expected="a split with validation findings, by which "
                    "thresholds are chosen")  # fmt: skip


def _unlike(config: Mapping[str, Any], name: str) -> Iterator[ConfigError]:
    """How a collection is cut, or what its classes are, otherwise than the target's."""
    target = config["target"]
    own, like = (config["collections"][each] for each in (name, target))
    as_target = f"as the target {target} has it: one network sees both"
    some = [key for key in SHOWN_BY_SOME if key in own and key in like]
    for key in (*SHOWN, *some):
        if own.get(key) != like.get(key):
            yield error(["collections", name, key], plain.spell(own.get(key)),
                        expected=f"{plain.spell(like.get(key))}, {as_target}")  # fmt: skip
    axes = [LAST_AXIS if one.get("axis") is None else one["axis"] for one in (own, like)]
    if axes[0] != axes[1]:
        yield error(["collections", name, "axis"], str(axes[0]), expected=f"{axes[1]}, {as_target}")
    sized = [bool(one.get("extent_column")) for one in (own, like)]
    if sized[0] != sized[1]:
        expected = "a column with the size of each patch" if sized[1] else "null"
        yield error(["collections", name, "extent_column"], plain.spell(own.get("extent_column")),
                    expected=f"{expected}, {as_target}")  # fmt: skip
    channels = [len(channels_of(one, each)) for one, each in ((own, name), (like, target))]
    named = [one.get("channels") for one in (own, like)]
    if channels[0] != channels[1] or (all(named) and named[0] != named[1]):
        found, expected = (", ".join(channels_of(one, each)) for one, each in ((own, name), (like, target)))
        yield error(["collections", name, "channels"], found, expected=f"{expected}, {as_target}")
    try:
        classes = [classes_of(one) for one in (own, like)]
    except (ConfigError, KeyError):
        return  # which is said of the collection
    if classes[0] != classes[1]:
        yield error(["collections", name], str(classes[0]), expected=f"{classes[1]}, {as_target}")
