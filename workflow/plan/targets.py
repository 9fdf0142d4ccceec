"""What an experiment comes to: results, comparison, items of the report, downloads."""

import json
from pathlib import Path

from model.baselines.methods import BASELINES, STACKED
from model.files import terms as published
from model.training.methods import METHODS
from pipeline.errors import ConfigError
from workflow import downloads, flags, raw, side_collections, variants
from workflow.config import networks
from workflow.config import runs as begun_with
from workflow.plan import (
    Config,
    baselines,
    data,
    external,
    is_tested,
    papers,
    refuse,
    reporting,
    runs,
    start,
    training,
)  # fmt: skip

FOLDERS = ("Results", "Comparison", "External", "Data", "Training", "Papers", "Provenance", "Search")
"""Of the report, in the order in which to read them."""

ASSESSMENT = (
    "calibration.html", "calibration.png", "ranking.html", "precision_recall.png", "operating.html",
    "operating.png", "decision.png", "conformal.html", "abstain.png",
)  # fmt: skip
"""What scores are worth in use, of all methods."""


def folders(config: Config) -> dict[str, str]:
    """The folders of the report by name, numbered: first those that the experiment has, without gaps."""
    there = {
        "Results": bool(results(config)),
        "Comparison": compares(config),
        "External": bool(config["external"]),
        "Training": bool(_started(config)),
        "Papers": papers.concerned(config),
        "Search": bool(config["search"]["method"]),
    }
    order = sorted(FOLDERS, key=lambda name: not there.get(name, True))
    return {name: f"{number} {name}" for number, name in enumerate(order, start=1)}


def results(config: Config) -> list[str]:
    """What the methods of the experiment come to: their test results, their tables for the challenge."""
    ends = {
        "auc.json": is_tested(config), "challenge.csv": config["challenge"], "challenge.json": config["truth"]
    }  # fmt: skip
    return [f"results/{name}_{end}" for name in config["methods"] for end, asked in ends.items() if asked]


def tested(config: Config) -> list[str]:
    """The test results of all methods; none where nothing is tested."""
    return [f"results/{name}_auc.json" for name in config["methods"]] if is_tested(config) else []


def compares(config: Config) -> bool:
    """Whether there are methods to compare, and test results of them."""
    return len(config["methods"]) > 1 and is_tested(config)


def comparison(config: Config) -> list[str]:
    """The items of a comparison; none where nothing is compared."""
    if not compares(config):
        return []
    tables = [
        f"results/{name}.{end}" for name in ("comparison", "differences") for end in ("csv", "md", "tex")
    ]
    return [*tables, "results/comparison.png", "results/roc.png"]


def subgroups_table(config: Config) -> list[str]:
    """The user's table of subgroups, if the config names one. Raises ConfigError where it is not there."""
    return users_table(config, "subgroups")


def covariates_table(config: Config) -> list[str]:
    """The same of covariates."""
    return users_table(config, "covariates")


def users_table(config: Config, section: str) -> list[str]:
    """The table that a section of the config names, if any. Raises ConfigError where it is not there."""
    table = config[section]["table"]
    if table is not None and not Path(table).is_file():
        raise ConfigError(
            "no such file", file=table, expected=f"the table that {section}/table names",
            remedy="give its path from the folder in which the run works, or an absolute one",
        )  # fmt: skip
    return [] if table is None else [table]


def subgroups_options(config: Config) -> str:
    """The other settings of subgroups as flags. Raises ConfigError where there are no columns."""
    own = config["subgroups"]
    if not own["columns"]:
        raise ConfigError(
            "none", file="subgroups/columns", expected="columns to part the test findings by",
            remedy="name some in the config, such as subgroups: {columns: [manufacturer]}",
        )  # fmt: skip
    maps = {key: json.dumps(own[key]) for key in ("names", "cuts")}
    return flags.flags({"columns": own["columns"], **maps, "minimum": own["minimum"]})


def robustness(config: Config) -> list[str]:
    """What corruptions of the test findings come to; nothing where no method leaves a model file."""
    asked = is_tested(config) and external.methods(config)
    return ["results/robustness.html", "results/robustness.png"] if asked else []


def corrupted(config: Config) -> list[str]:
    """The scores of corrupted test findings of each run. Raises ConfigError where no method has a model."""
    found = external.of_runs(config, "robustness.csv")
    if not found:
        raise ConfigError(", ".join(config["methods"]), file="methods", expected="one that leaves a model",
                          remedy="add one, such as typhon or probe")  # fmt: skip
    return found


def front(config: Config) -> dict[str, str]:
    """What the first page of the report is made of: the picture of all ROC curves, checks and fingerprint."""
    folder = f"<data>/{config['target']}"
    roc = "results/roc.png" if compares(config) else f"results/{config['methods'][0]}/roc.png"
    return {"roc": roc, "checks": f"{folder}/verify.csv", "fingerprint": f"{folder}/fingerprint.csv"}


def front_options(config: Config) -> str:
    """What it is told, as flags."""
    return flags.flags({"external": config["external"] or None}) + " --synthetic" * ("phantom" in config)


def untrained(config: Config) -> list[str]:
    """The methods that train no network, or only guess one."""
    return [name for name in config["methods"] if variants.method(config, name) in (*BASELINES, "rwg")]


def compared(config: Config, file: str = "") -> list[str]:
    """The folder of each run of each method, or a file in it."""
    folders = [f"results/{name}/{run}" for name in config["methods"] for run in runs(config)]
    return [f"{folder}/{file}" if file else folder for folder in folders]


def figures(config: Config) -> list[str]:
    """The items of the report, for all data sets and methods of the experiment."""
    started = _started(config)
    trained = [name for name in started if training.phases(config, name)]
    shared = start.sharing(config)
    own = [name for name in started if name not in shared]
    each, shown = runs(config), [*config["datasets"], *config["external"]]
    return [
        *(picture for name in shown for picture in data.pictures(config, name)),
        *(f"<data>/{name}/verify.html" for name in shown),
        *(
            f"<data>/{config['target']}/embeddings/{name}.png"
            for name in encoders(config)
            if name in baselines.fixed_encoders(config)
        ),
        *(f"results/{name}" for name in ("overview.html", "front.html", *ASSESSMENT) if is_tested(config)),
        *(
            ["results/subgroups.html", "results/subgroups.png"]
            if is_tested(config) and config["subgroups"]["columns"]
            else []
        ),
        *(robustness(config) if config["robustness"] else []),
        *external.results(config),
        *reporting.results(config),
        "results/software.html",
        "results/cite.html",
        *(f"results/{name}/roc.png" for name in config["methods"] if is_tested(config)),
        *(
            f"results/{name}/saliency.png"
            for name in config["methods"]
            if variants.method(config, name) in (*METHODS, "probe", *STACKED) and is_tested(config)
        ),
        *(
            f"results/{name}_candidates.html"
            for name in config["methods"]
            if variants.method(config, name) in STACKED and is_tested(config)
        ),
        *(f"results/{name}/curves.png" for name in trained),
        *(f"results/{name}/rates.png" for name in trained if training.finds_rates(config, name)),
        *(
            f"results/{name}/{run}/bootstrap/scores.png"
            for name in own
            if training.settings(config, name)["weights"] == "random"
            for run in each
        ),
        *(f"results/bootstrap/{run}/scores.png" for run in each if shared),
        *(f"results/{name}/{run}/tensorboard" for name in trained for run in each),
        *(f"results/figures/{name}.png" for name in papers.figures(config)),
    ]


def _started(config: Config) -> list[str]:
    """The methods that train a network."""
    return [name for name in config["methods"] if variants.method(config, name) in METHODS]


def terms(config: Config) -> str:
    """Licence and origin of all data sets of the experiment, by name, as JSON."""
    return json.dumps({name: raw.terms(config, name) for name in _data_sets(config)})


def cited(config: Config) -> list[str]:
    """What publications are about: methods, data sets, their kinds, networks, and where weights are from."""
    kinds = [] if "phantom" in config else [data.kind(config, name) for name in _data_sets(config)]
    names = [variants.method(config, name) for name in _with_sources(config)]
    networks = [
        name for method in _with_sources(config) for pair in _networks(config, method) for name in pair
    ]
    return list(dict.fromkeys([*names, *kinds, *networks]))


def weights(config: Config) -> str:
    """Licence and citation of the pretrained weights of the experiment, by network and name, as JSON."""
    pairs = [pair for name in _with_sources(config) for pair in _networks(config, name) if len(pair) == 2]
    found = {f"{network}, {name}": published.terms(network, name) for network, name in pairs}
    return json.dumps({key: known for key, known in found.items() if known})


def _with_sources(config: Config) -> list[str]:
    """The methods of the experiment, and those whose runs they begin with; of tasks left out those of one."""
    left_out = variants.of_left_out(config, config[variants.LEFT_OUT]["tasks"][:1])
    names = [*config["methods"], *left_out]
    found = [one for name in names for one in (name, *begun_with.sources(config, name))]
    return list(dict.fromkeys(found))


def encoders(config: Config) -> list[str]:
    """The encoders that methods of the experiment use."""
    kinds = {name: variants.method(config, name) for name in config["methods"]}
    found = [networks.encoders(training.settings(config, name), [kind]) for name, kind in kinds.items()]
    return list(dict.fromkeys(name for names in found for name in names))


def _networks(config: Config, method: str) -> list[tuple[str, ...]]:
    """The networks of a method, each with where its weights are from unless they are random."""
    own, kind = training.settings(config, method), variants.method(config, method)
    if names := networks.encoders(own, [kind]):
        found = [own["encoders"][name] for name in names]
        return [(encoder["network"], encoder["weights"]) for encoder in found]
    pretrained = own["weights"] != "random"
    return [(own["network"], *[own["weights"]] * pretrained)] if kind in METHODS else []


def accepted(config: Config) -> list[str]:
    """No input. Raises RefusedError with the terms of what would be downloaded, unless they are accepted."""
    refuse(downloads.refusal(config))
    return []


def images_to_download(config: Config) -> list[str]:
    """What there is to download but for label files."""
    return [
        *(f"<data>/raw/.{name}.checked" for name in downloads.with_images(config)),
        *(f"<data>/raw/.{name}.pictures" for name in downloads.with_pictures(config)),
    ]


def to_download(config: Config) -> list[str]:
    """What there is to download for the experiment. Raises RefusedError as long as nobody has accepted."""
    labels = ["<data>/raw/.labels"] if downloads.label_files(config) else []
    return accepted(config) + images_to_download(config) + labels


def _data_sets(config: Config) -> list[str]:
    return [*config["datasets"], *side_collections.needed(config)]
