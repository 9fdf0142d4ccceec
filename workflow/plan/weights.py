"""The files of weights that networks begin with; those of runs are of the same fold and seed."""

from pathlib import Path

from model.networks import FILES, weights_of
from pipeline.errors import ConfigError
from workflow import variants
from workflow.config import runs
from workflow.config.networks import are_runs
from workflow.plan import Config

WITHIN = {"last": "", "best": "best/"}
"""Where in the folder of a run its states lie."""


def argument(config: Config, weights: str, fold: str, seed: str) -> str:
    """Weights as a step is told them: of runs the model file of the state that ``evaluation/state`` names."""
    if not are_runs(weights):
        return weights
    method = runs.method_of(weights)
    own = variants.of(config, method).settings(config) if method else config
    folder = f"{runs.RESULTS}/{method}" if method else weights.rstrip("/")
    return f"{folder}/fold{fold}/seed{seed}/{WITHIN[own['evaluation']['state']]}model.safetensors"


def files(config: Config, network: str, weights: str, fold: str, seed: str) -> list[str]:
    """What a step reads of them. Raises ConfigError for a file that is not there and that nothing makes."""
    if not are_runs(weights):
        return existing(network, weights)
    model = argument(config, weights, fold, seed)
    run = Path(model).parents[1 if "/best/" in model else 0]
    found = [model, str(run / "seen.json")]
    return found if runs.method_of(weights) else _there(found, "a run of the same fold and seed there")


def existing(network: str, weights: str) -> list[str]:
    """A file of weights, if it is one, and what is read with it. Raises ConfigError for one not there."""
    file = weights_of(network, weights)
    found = [file] if file.endswith(FILES) else []
    if file != weights:
        found.append(str(Path(file).with_name("config.json")))
    return _there(found, "the file of weights that the config names")


def _there(found: list[str], expected: str) -> list[str]:
    for each in found:
        if not Path(each).is_file():
            raise ConfigError("no such file", file=each, expected=expected)
    return found
