"""What the reporting page is told of the config: what a paper has to say, and only the config knows."""

import json

from model.baselines.methods import STACKED
from model.training.methods import METHODS
from workflow import raw, variants
from workflow.config.collections import channels_of, classes_of
from workflow.plan import Config, folds, is_tested, training

KEPT = (
    "target",
    "external",
    "seeds",
    "split",
    "patch",
    "views",
    "evaluation_views",
    "augmentation",
    "balance",
    "budget",
)


def facts(config: Config) -> str:
    """The facts, as JSON."""
    names = [*config["datasets"], *config["external"]]
    methods = {name: _method(config, name) for name in config["methods"]}
    return json.dumps(
        {key: config[key] for key in KEPT}
        | {
            "ways": training.ways(config),
            "synthetic": "phantom" in config,
            "collections": {name: _collection(config, name) for name in names},
            "methods": methods,
            "operating": config["operating"],
            "subgroups": config["subgroups"]["columns"],
            "covariates": config["covariates"]["columns"],
            "robustness": config["robustness"],
        },
        sort_keys=True,
    )


def _collection(config: Config, name: str) -> dict[str, object]:
    own = config["collections"][name]
    classes = classes_of(own)
    keys = ("kind", "extent", "window", "intensity", "table", "max_skipped")
    return {
        **{key: own.get(key) for key in keys},
        "channels": channels_of(own, name),
        "classes": list(classes.names),
        "multilabel": classes.multilabel,
        "terms": raw.terms(config, name),
    }


def _method(config: Config, name: str) -> dict[str, object]:
    """What a method is: its base, what it begins with, and whether it leaves a model and a picture."""
    own, base = training.settings(config, name), variants.method(config, name)
    about = (METHODS[base].__doc__ or "").split("\n")[0].rstrip(".") if base in METHODS else ""
    return {
        "base": base,
        "about": about,
        "phases": [phase["name"] for phase in training.phases(config, name)],
        **({"network": own["network"], "weights": own["weights"]} if base in METHODS else {}),
        "state": own["evaluation"]["state"],
        "model": base in (*METHODS, "probe", *STACKED),
    }


def results(config: Config) -> list[str]:
    """The items of the report."""
    return ["results/flow.png", "results/reporting.html"] if is_tested(config) else []


def fingerprints(config: Config) -> list[str]:
    """The fingerprint of each data set, the target's first."""
    names = dict.fromkeys([config["target"], *config["datasets"], *config["external"]])
    return [f"<data>/{name}/fingerprint.csv" for name in names]


def splits(config: Config) -> list[str]:
    """The splits of the same data sets in all folds."""
    names = dict.fromkeys([config["target"], *config["datasets"], *config["external"]])
    return training.splits_of(list(names), folds(config))
