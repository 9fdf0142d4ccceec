"""What the effects of published keys are measured on."""

import json

from workflow import effects, side_collections
from workflow.plan import Config


def measured(config: Config) -> list[str]:
    """What the effects that change something here come to, and what they stand beside.

    Raises ConfigError where nothing is tested.
    """
    side_collections.check_tested(config)
    names = effects.wanted(config)
    every = dict.fromkeys([*map(effects.method, names), *names])
    return [f"results/effects/{name}.json" for name in every]


def before(config: Config, effect: str) -> list[str]:
    """The result of the run itself, where it is one side of an effect, or the base with the same start."""
    base = effects.method(effect)
    if effects.is_own(effect):
        return [f"results/{base}_auc.json"]
    return [f"results/effects/{base}.json"] if effects.shares_start(config, effect) else []


def borrowed(config: Config, effect: str) -> str:
    """The flags that have a variant train on patches and splits of the run, from the start of its base."""
    data = [] if effects.makes_data(config, effect) else ["--borrows"]
    shared = effects.shares_start(config, effect)
    return " ".join([*data, *(["--start", effects.folder(effects.method(effect))] if shared else [])])


def settings(config: Config, effect: str) -> str:
    """The config of a variant, as JSON."""
    return json.dumps(effects.located(config, effect))


def described(config: Config) -> str:
    """What the table says beside the figures, as JSON."""
    return json.dumps(effects.described(config))


def names() -> list[str]:
    """Every variant: the bases, then the effects."""
    return effects.names()


def folder(_config: Config, effect: str) -> str:
    """Where a variant runs, as seen from the run."""
    return effects.folder(effect)
