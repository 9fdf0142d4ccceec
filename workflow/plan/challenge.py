"""The findings of the challenge, which have no labels, and their truth."""

from pathlib import Path

from pipeline.errors import ConfigError
from workflow import raw, side_collections
from workflow.plan import Config, training


def file(config: Config, name: str) -> str:
    """A file of the challenge's collection. Raises ConfigError where the config names none."""
    side_collections.check_challenge(config)
    return f"<data>/{config['challenge']}/{name}"


def folder(config: Config) -> Path:
    """Where the challenge's table lies."""
    return raw.folder(config, config["challenge"])


def max_skipped(config: Config) -> int:
    """How many of its findings may be left out."""
    return int(config["collections"][config["challenge"]]["max_skipped"])


def state(config: Config, method: str, fold: str, seed: str) -> str:
    """The state of a run's network that the result takes."""
    within = {"last": "", "best": "best/"}[training.setting(config, method, "evaluation/state")]
    return f"results/{method}/fold{fold}/seed{seed}/{within}model.safetensors"


def truth(config: Config) -> str | Path:
    """The truth of the challenge, or the phantoms that bring it. Raises ConfigError where there is none."""
    if config["truth"] is None:
        raise ConfigError("nothing", file="truth", expected="a CSV with the labels of the challenge")
    if "phantom" in config:
        return f"<data>/raw/{side_collections.home(config, config['challenge'])}"
    if not (path := truth_file(config)).exists():
        raise ConfigError("no such file", file="truth", expected=f"the file {config['truth']}")
    return path


def truth_file(config: Config) -> Path:
    """Where the config says that the truth is, or will be."""
    return Path(config["truth"]).expanduser()
