"""What methods without a network of their own read besides patches and splits, and what they are told."""

import json
from collections.abc import Mapping

from model.training.methods import METHODS
from workflow import flags, side_collections, variants
from workflow.config import networks, runs
from workflow.config.networks import are_runs
from workflow.plan import Config, data, training, weights

Learners = list[tuple[str, float]]
"""Kinds and settings, the simplest first."""
FILES = ("embeddings", "slices", "findings")
"""What they may read, each also of findings without labels."""
PLACES = ("collection", "encoder")
"""Settings that say where these lie, and are no flags."""


def files(config: Config, method: str, fold: str, seed: str) -> dict[str, str]:
    """The features or the ADC maps of the target that a method reads, by the names of the inputs.

    Raises ConfigError where there are no maps, or where the encoder takes no such patches.
    """
    own, kind = training.settings(config, method), variants.method(config, method)
    if kind in ("probe", "probe_covariates"):
        _check(config, method)
        return {"embeddings": features(config, own["target"], _encoder(own, kind), fold, seed)}
    if kind != "adc":
        return {}
    side_collections.check_adc(own)
    return _maps(side_collections.adc_maps(own))


def files_of_both(config: Config, method: str, fold: str, seed: str) -> dict[str, str]:
    """Those of the target and of the challenge's findings. Raises ConfigError where there are no maps."""
    found, kind = files(config, method, fold, seed), variants.method(config, method)
    if kind == "probe":
        encoder = _encoder(training.settings(config, method), kind)
        return found | {"unlabelled_embeddings": features(config, config["challenge"], encoder, fold, seed)}
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


def of_target(config: Config, file: str) -> str:
    """A file of the target."""
    return f"<data>/{config['target']}/{file}"


def covariates_options(config: Config, method: str) -> str:
    """The columns and settings of a method that learns from them, as flags."""
    own, kind = training.settings(config, method), variants.method(config, method)
    settings, image = (own["hyperparameters"][name] for name in ("covariates", kind))
    names = {"columns": own["covariates"]["columns"], "names": json.dumps(own["covariates"]["names"])}
    penalties = {"penalties": settings["penalties"]}
    if kind != "covariates":
        penalties["image_penalties"] = image["penalties"]
    return flags.flags({**names, **penalties, "folds": image["folds"]})


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


def candidate_files(config: Config, method: str, fold: str, seed: str) -> list[str]:
    """Their features of the target. Raises ConfigError where a network takes no such patches."""
    _check(config, method)
    target = training.target(config, method)
    return [features(config, target, name, fold, seed) for name in candidates(config, method)]


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
    return flags.flags(variants.encoders(config)[encoder])


def run_encoder_options(config: Config, encoder: str, dataset: str, fold: str, seed: str) -> str:
    """The same of an encoder that is the extractor of runs: that of one of them, and whom it may look at."""
    settings = dict(variants.encoders(config)[encoder])
    known = dataset in config["datasets"]
    split = data.folder(config, dataset) / f"splits/fold{fold}.csv" if known else None
    (people,) = data.names_of_people(config, [dataset])
    return flags.flags(
        settings | {"weights": weights.argument(config, settings["weights"], fold, seed), "split": split,
                    "like": dataset if known else config["target"], "people": people,
                    "leak": data.leak(config)}
    )  # fmt: skip


def weights_file(config: Config, encoder: str) -> list[str]:
    """The file of an encoder's weights, if they are one."""
    return weights.existing(*(variants.encoders(config)[encoder][key] for key in ("network", "weights")))


def run_files(config: Config, encoder: str, dataset: str, fold: str, seed: str) -> list[str]:
    """The files of the run whose extractor an encoder is, and the split of what it looks at."""
    own = variants.encoders(config)[encoder]
    split = training.splits_of([dataset], [fold]) if dataset in config["datasets"] else []
    return [*weights.files(config, own["network"], own["weights"], fold, seed), *split]


def fixed_encoders(config: Config) -> list[str]:
    """The encoders that are the same for all folds and seeds."""
    return [name for name, one in variants.encoders(config).items() if not are_runs(one["weights"])]


def run_encoders(config: Config) -> dict[str, str]:
    """The other ones, with the name of the method whose extractors they are."""
    every = {name: one["weights"] for name, one in variants.encoders(config).items()}
    return {name: runs.name(source) for name, source in every.items() if are_runs(source)}


def features(config: Config, dataset: str, name: str, fold: str, seed: str) -> str:
    """What an encoder sees in a data set, or what is measured of it; of a run's extractor beside the run."""
    if method := run_encoders(config).get(name):
        return f"results/{method}/fold{fold}/seed{seed}/embeddings/{name}/{dataset}.h5"
    return f"<data>/{dataset}/embeddings/{name}.h5"


def encoder_code(config: Config, encoder: str) -> str:
    """The digest of embedding with its network, which is loaded by name."""
    return networks.code_of("model.baselines.embeddings", _network(config, encoder))


def probe_code(config: Config, method: str) -> str:
    """The digest of fitting a probe and of writing it with its network."""
    encoder = training.setting(config, method, "hyperparameters/probe/encoder")
    return networks.code_of("model.baselines.probe", _network(config, encoder))


def _check(config: Config, method: str) -> None:
    """Raise ConfigError where the networks of a method take no such patches, or no such weights."""
    for problem in networks.misfits(training.settings(config, method), [variants.method(config, method)]):
        raise problem
    runs.check(config, [method])


def _network(config: Config, encoder: str) -> str:
    return str(variants.encoders(config)[encoder]["network"])


def _encoder(own: Config, kind: str) -> str:
    """The encoder of a probe."""
    return str(own["hyperparameters"][kind]["encoder"])


def _maps(name: str, prefix: str = "") -> dict[str, str]:
    """The slices and findings of a collection with ADC maps."""
    return {f"{prefix}slices": f"<data>/{name}/slices.h5", f"{prefix}findings": f"<data>/{name}/findings.csv"}
