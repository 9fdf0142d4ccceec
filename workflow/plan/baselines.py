"""What methods without a network of their own read besides patches and splits, and what they are told."""

import json
from collections.abc import Mapping

from model.training.methods import METHODS
from workflow import flags, side_collections, variants
from workflow.config import networks
from workflow.plan import Config, start, training

Learners = list[tuple[str, float]]
"""Kinds and settings, the simplest first."""
FILES = ("embeddings", "slices", "findings")
"""What they may read, each also of findings without labels."""
PLACES = ("collection", "encoder")
"""Settings that say where these lie, and are no flags."""


def files(config: Config, method: str) -> dict[str, str]:
    """The features or the ADC maps of the target that a method reads, by the names of the inputs.

    Raises ConfigError where there are no maps, or where the encoder takes no such patches.
    """
    own, kind = training.settings(config, method), variants.method(config, method)
    if kind == "probe":
        for problem in networks.misfits(own, [kind]):
            raise problem
        return {"embeddings": _embeddings(own, config["target"])}
    if kind != "adc":
        return {}
    side_collections.check_adc(own)
    return _maps(side_collections.adc_maps(own))


def files_of_both(config: Config, method: str) -> dict[str, str]:
    """Those of the target and of the challenge's findings. Raises ConfigError where there are no maps."""
    found, kind = files(config, method), variants.method(config, method)
    if kind == "probe":
        own = training.settings(config, method)
        return found | {"unlabelled_embeddings": _embeddings(own, config["challenge"])}
    if kind != "adc":
        return {}
    side_collections.check_adc(config, challenge=True)
    return found | _maps(config["challenge"], "unlabelled_")


def options(config: Config, method: str, inputs: Mapping[str, str]) -> str:
    """The settings of a baseline as flags, and the files among its inputs."""
    settings = training.setting(config, method, f"hyperparameters/{variants.method(config, method)}")
    own = {key: value for key, value in settings.items() if key not in PLACES}
    paths = {key: inputs.get(key) for name in FILES for key in (name, f"unlabelled_{name}")}
    return flags.flags(own | paths)


def candidates(config: Config, method: str) -> dict[str, Learners]:
    """The candidates of a method that chooses and stacks, each with its learners, the simplest first."""
    own, kind = training.settings(config, method), variants.method(config, method)
    settings = own["hyperparameters"][kind]
    of_radiomics = [
        (name, value)
        for name in ("l2", "l1", "elastic_net", "forest")
        for value in sorted(own["hyperparameters"]["radiomics"][name])
    ]
    if kind == "radiomics":
        return {"radiomics": of_radiomics}
    if kind == "probe_svm":
        return {settings["encoder"]: [("svm", value) for value in sorted(settings["penalties"])]}
    if kind == "probe_knn":
        return {
            settings["encoder"]: [
                ("neighbours", value) for value in sorted(settings["neighbours"], reverse=True)
            ]
        }
    probe, intensity = (
        [("l2", value) for value in sorted(own["hyperparameters"][name]["penalties"])]
        for name in ("probe", "logistic")
    )
    measured = {"radiomics": of_radiomics, "intensity": intensity}
    return {name: measured.get(name, probe) for name in settings["candidates"]}


def candidate_names(config: Config, method: str) -> list[str]:
    """Their names."""
    return list(candidates(config, method))


def candidate_files(config: Config, method: str) -> list[str]:
    """Their features of the target. Raises ConfigError where a network takes no such patches."""
    own, kind = training.settings(config, method), variants.method(config, method)
    for problem in networks.misfits(own, [kind]):
        raise problem
    return [f"<data>/{config['target']}/embeddings/{name}.h5" for name in candidates(config, method)]


def learners(config: Config, method: str) -> str:
    """What each may learn with, as JSON."""
    return json.dumps(candidates(config, method))


def inner_folds(config: Config, method: str) -> int:
    """How many inner folds there are."""
    kind = variants.method(config, method)
    return int(training.setting(config, method, f"hyperparameters/{kind}/folds"))


def candidates_code(config: Config, method: str, module: str = "model.baselines.auto") -> str:
    """The digest of choosing among them, or of another module that reads their networks."""
    own, kind = training.settings(config, method), variants.method(config, method)
    return networks.code_of(module, *(_network(config, name) for name in networks.encoders(own, [kind])))


def model_code(config: Config, method: str, module: str) -> str:
    """The digest of a module that reads the model file of a run, whatever it holds."""
    if variants.method(config, method) in METHODS:
        return training.code_of(config, method, module)
    return candidates_code(config, method, module)


def encoder_options(config: Config, encoder: str) -> str:
    """The settings of an encoder as flags."""
    return flags.flags(config["encoders"][encoder])


def weights_file(config: Config, encoder: str) -> list[str]:
    """The file of an encoder's weights, if they are one."""
    return start.existing(*(config["encoders"][encoder][key] for key in ("network", "weights")))


def encoder_code(config: Config, encoder: str) -> str:
    """The digest of embedding with its network, which is loaded by name."""
    return networks.code_of("model.baselines.embeddings", _network(config, encoder))


def probe_code(config: Config, method: str) -> str:
    """The digest of fitting a probe and of writing it with its network."""
    encoder = training.setting(config, method, "hyperparameters/probe/encoder")
    return networks.code_of("model.baselines.probe", _network(config, encoder))


def _network(config: Config, encoder: str) -> str:
    return str(config["encoders"][encoder]["network"])


def _embeddings(config: Config, dataset: str) -> str:
    """The features that a probe uses of a data set."""
    return f"<data>/{dataset}/embeddings/{config['hyperparameters']['probe']['encoder']}.h5"


def _maps(name: str, prefix: str = "") -> dict[str, str]:
    """The slices and findings of a collection with ADC maps."""
    return {f"{prefix}slices": f"<data>/{name}/slices.h5", f"{prefix}findings": f"<data>/{name}/findings.csv"}
