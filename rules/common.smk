import functools
import json
import sys
import time
from pathlib import Path

from snakemake.io import strip_wildcard_constraints

from model.figures.registry import FIGURES, drawn, wanted
from model.grid import candidate_config, candidates, no_candidate, shares_start, split_name
from model import methods
from model.methods import METHODS
from model.baselines import BASELINES
from pipeline.errors import ConfigError, run_cli
from workflow import ahead, beside, driver, effects, people, raw, shared, stale
from pipeline.files import sha256
from pipeline.provenance import ROOT, code
from workflow.config import channels_differ, check_file, checked
from workflow.flags import flags
from workflow.summary import failures

try:
    for file in workflow.configfiles:
        check_file(file)
    checked(config)
except ConfigError as error:
    sys.exit(str(error))
if message := shared.differs(config):
    sys.exit(message)


# Rules run `python -m …` from any working directory, within or without a conda environment.
shell.prefix(f"set -euo pipefail; export PYTHONPATH='{ROOT}' PYTHONSAFEPATH=1; ")


pathvars:
    data=config["data"],


NETWORK = f"model.networks.{config['network']}"
"""The module of the network, which those that build one load by name."""
NETWORKS = "|".join([*METHODS, rf"search/(?:{'|'.join(METHODS)})/candidate\d+"])
"""Methods that train a network, and the candidates of a search for their settings."""


wildcard_constraints:
    dataset=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    method="|".join([NETWORKS, *BASELINES]),
    fold=r"\d+",
    seed=r"\d+",


def prepare(_):
    """What has to be done between the plan and the first job."""
    driver.record(Path.cwd(), sys.argv[1:], Path(workflow.workdir_init))
    driver.stop_jobs_with_me(Path.cwd())
    shared.record(config)
    if not workflow.touch:
        stale.set_aside(workflow.dag.needrun_jobs())


onstart:
    run_cli(prepare)


onsuccess:
    stale.discard()


onerror:
    print(failures(log), stale.where(), sep="\n", file=sys.stderr)


def kind(wildcards):
    """How a data set is read."""
    return config["collections"][wildcards.dataset]["kind"]


def collection_flags(*keys):
    """The given keys of a data set's collection as flags of the same names; absent ones are left out."""

    def of(wildcards):
        collection = config["collections"][wildcards.dataset]
        return flags({key: collection.get(key) for key in keys})

    return of


def collection_code(module):
    """The digest of a step that loads the module of the data set's kind by name."""
    return lambda wildcards: code(module, f"pipeline.datasets.{kind(wildcards)}")


def raw_data(wildcards):
    """What the index waits for: the phantoms, if any; ends the run where downloads are missing or faulty."""
    if "phantom" in config:
        return f"<data>/raw/{beside.home(config, wildcards.dataset)}"
    if message := raw.missing(config) or faults():
        sys.exit(message)
    return []


@functools.cache
def faults():
    """What is wrong with the tables of the data sets: looked for once, whatever the number of data sets."""
    return ahead.faults(config)


def room_for_phantom(wildcards):
    """No input; ends the run rather than have Snakemake empty a folder of downloads."""
    if message := raw.occupied(config, wildcards.dataset):
        sys.exit(message)
    return []


def raw_state(wildcards):
    """Changes whenever a file in the raw folder does."""
    return raw.state(config, wildcards.dataset)


def raw_folder(wildcards, input):
    """Where the downloads lie. A function of the input, so that a folder that moved reruns nothing."""
    return raw.folder(config, wildcards.dataset)


def stored_views(wildcards):
    """How many views of each finding are cut; the challenge's are never trained on."""
    return config["evaluation_views" if wildcards.dataset == config["challenge"] else "views"]


def leak(wildcards):
    """What commands do about patients in several splits, which only the published splits have."""
    return "warn" if config["split"]["kind"] == "paper" else "refuse"


def people_of(datasets):
    """A name for the people of each of the data sets that a function of the wildcards gives."""

    def of(wildcards):
        names = people.names(config)
        return [names.get(dataset, dataset) for dataset in datasets(wildcards)]

    return of


def same_people(wildcards):
    """The stores of the other data sets with the same people, which are split together."""
    return expand("<data>/{dataset}/patches.h5", dataset=people.same(config, wildcards.dataset))


def base(wildcards):
    """The method itself; for a candidate of a search the method whose settings are searched."""
    return split_name(wildcards.method)[0]


def settings(wildcards):
    """The config; for a candidate of a search, with its settings filled in. Ends the run if there is none."""
    method, number = split_name(wildcards.method)
    if number is None:
        return config
    if message := no_candidate(config["search"], method, number):
        sys.exit(message)
    return candidate_config(config, number)


def phases(wildcards):
    """The phases of a method, resolved here so that training knows no registry."""
    if wildcards.method in BASELINES:
        return []
    return methods.phases(base(wildcards), settings(wildcards))


def datasets(wildcards):
    """The data sets that a method trains on, in the order of their turns, and the target."""
    return trained_on(phases(wildcards))


def trained_on(phases):
    """The data sets of phases, in the order of their turns, and the target."""
    names = [name for phase in phases for name in phase["datasets"]]
    return list(dict.fromkeys([*names, config["target"]]))


def shared_datasets(wildcards):
    """The data sets that any of the methods trains on which share their start."""
    found = trained_on([phase for name in methods.sharing(config) for phase in methods.phases(name, config)])
    return [name for name in config["datasets"] if name in found]


def started_on(wildcards):
    """The data sets that candidates of the bootstrap are scored on."""
    return methods.started_on(phases(wildcards), config)


def candidates_of(wildcards):
    """How many random networks a method tries."""
    if base(wildcards) == "rwg":
        return settings(wildcards)["hyperparameters"]["rwg"]["candidates"]
    return config["bootstrap"]["candidates"]


def start(wildcards):
    """The network that training starts from: that of all methods of a comparison, or that of the method.

    A candidate of a search has that of its method, unless the grid changes on which data sets random networks are
    scored; with one for all methods that cannot be.
    """
    run = f"fold{wildcards.fold}/seed{wildcards.seed}"
    if base(wildcards) in methods.sharing(config) and phases(wildcards):
        return f"results/bootstrap/{run}/network.safetensors"
    shared = shares_start(methods.phases(base(wildcards), config), phases(wildcards))
    return f"results/{base(wildcards) if shared else wildcards.method}/{run}/bootstrap/network.safetensors"


def start_benchmarks(wildcards):
    """The benchmark files of a method's bootstraps, one per fold and seed."""
    folder = "bootstrap" if wildcards.method in methods.sharing(config) else "{method}"
    return runs(f"benchmarks/results/{folder}/fold{{fold}}/seed{{seed}}/bootstrap.tsv")(wildcards)


def stores_of(datasets):
    """The patch stores of these data sets; ends the run where one network cannot take them all."""

    def of(wildcards):
        if message := channels_differ(config):
            sys.exit(message)
        return expand("<data>/{dataset}/patches.h5", dataset=datasets(wildcards))

    return of


def splits_of(datasets):
    """Their splits of one fold."""
    return lambda wildcards: expand(
        "<data>/{dataset}/splits/fold{fold}.csv", dataset=datasets(wildcards), fold=wildcards.fold
    )


stores, splits = stores_of(datasets), splits_of(datasets)


def cards(wildcards):
    """Their cards in one fold."""
    return expand("<data>/{dataset}/cards/fold{fold}.json", dataset=datasets(wildcards), fold=wildcards.fold)


def runs(pattern):
    """The pattern filled in for each fold and seed of a method."""

    def of(wildcards):
        if pattern.endswith("predictions.csv") and (message := beside.untested(config)):
            sys.exit(message)
        return expand(
            pattern, method=wildcards.method, fold=range(config["split"]["n"]), seed=config["seeds"]
        )

    return of


def searched(wildcards):
    """The predictions of all candidates of a search; ends the run where the config has no such search."""
    search = config["search"]
    if message := no_candidate(search, wildcards.method):
        sys.exit(message)
    return expand(
        "results/search/{method}/candidate{number}/fold{fold}/seed{seed}/predictions.csv",
        method=wildcards.method,
        number=sorted(set(range(len(candidates(search["grid"])))) - set(search["skip"])),
        fold=range(config["split"]["n"]),
        seed=config["seeds"],
    )


def search_items(wildcards):
    """What a search brings; ends the run where the config has none."""
    method = config["search"]["method"]
    if message := no_candidate(config["search"], method or "a method"):
        sys.exit(message)
    return expand(
        "results/search/{method}/{item}",
        method=method,
        item=["candidates.csv", "best.yaml", "candidates.png"],
    )


def published_logs(wildcards):
    """The public logs of Hydra; ends the run where they are not there."""
    if message := raw.no_logs(config):
        sys.exit(message)
    return raw.logs(config)


def published_folder(wildcards, input):
    """Where these logs lie."""
    return Path(input.logs[0]).parent


def memory(base, per_input=0):
    """Memory in MB: ``base``, and ``per_input`` times the size of the input; a retry gets as much again."""

    def of(wildcards, input, attempt):
        # The input of a rule that is grouped with those before it is not there yet, so its size is not asked.
        return attempt * (base + (int(per_input * input.size_mb) if per_input else 0))

    return of


def paper_figures():
    """The figures of the papers that the methods of the experiment can draw."""
    trained = {name: METHODS[name](config) for name in config["methods"] if name in METHODS}
    names = {name: [phase["name"] for phase in phases] for name, phases in trained.items()}
    tested = config["split"]["kind"] != "all"
    found = wanted(names, follow=tested and config["evaluation"].get("follow", True))
    return [name for name in found if tested or not FIGURES[name].results]


def results():
    """What the methods of the experiment come to: their test results, their tables for the challenge."""
    ends = {
        "auc.json": config["split"]["kind"] != "all",
        "challenge.csv": config["challenge"],
        "challenge.json": config["truth"],
    }
    asked = [end for end, asked in ends.items() if asked]
    return expand("results/{method}_{end}", method=config["methods"], end=asked)


def compared(pattern):
    """The pattern, filled in for each run of each method."""
    return expand(pattern, method=config["methods"], fold=range(config["split"]["n"]), seed=config["seeds"])


def comparison():
    """The items of a comparison; none for one method alone, or where nothing is tested."""
    if len(config["methods"]) < 2 or config["split"]["kind"] == "all":
        return []
    return expand(
        "results/{name}.{suffix}", name=["comparison", "differences"], suffix=["csv", "md", "tex"]
    ) + [
        "results/comparison.png",
        "results/roc.png",
    ]


def pictured(dataset):
    """The pictures of a data set; those of several channels only where it has several."""
    stacked = len(config["collections"][dataset].get("channels", [])) > 1
    return ["contact_sheet", "red_dots", "fingerprint", *(["alignment"] if stacked else [])]


def data_pictures(wildcards):
    """The paths of these pictures."""
    return expand(f"<data>/{wildcards.dataset}/{{picture}}.png", picture=pictured(wildcards.dataset))


def others(wildcards):
    """The other data sets of the experiment."""
    return [name for name in config["datasets"] if name != wildcards.dataset]


def other_data(wildcards):
    """What is read of the other data sets to find what they share with one."""
    files = ["findings.csv", "slices.h5", *(f"splits/fold{fold}.csv" for fold in range(config["split"]["n"]))]
    return expand("<data>/{dataset}/{file}", dataset=others(wildcards), file=files)


def data_folder(wildcards):
    """The folder of a data set."""
    return Path(config["data"], wildcards.dataset)


def other_folders(wildcards):
    """The folders of the other data sets."""
    return [Path(config["data"], name) for name in others(wildcards)]


def tested(pattern):
    """The pattern, filled in for each method; nothing where nothing is tested."""
    return expand(pattern, method=config["methods"] if config["split"]["kind"] != "all" else [])


def content_of(name):
    """The digest of a file of the project, so that what shows it is made anew when it changes."""
    return lambda wildcards: sha256(Path(ROOT, name))


def benchmarked(wildcards):
    """The benchmark files of each rule, as patterns; without the methods that there are, which may grow."""
    rules = [rule for rule in workflow.rules if rule.benchmark]
    return json.dumps({rule.name: strip_wildcard_constraints(rule.benchmark) for rule in rules})


def figures():
    """The items of the report, for all data sets and methods of the experiment."""
    started = [name for name in config["methods"] if name in METHODS]
    trained = [name for name in started if methods.phases(name, config)]
    shared = methods.sharing(config)
    own = [name for name in started if name not in shared]
    each_run = {"fold": range(config["split"]["n"]), "seed": config["seeds"]}
    return [
        *expand(
            [f"<data>/{name}/{picture}.png" for name in config["datasets"] for picture in pictured(name)]
        ),
        *expand("<data>/{dataset}/verify.html", dataset=config["datasets"]),
        *(["results/overview.html"] if config["split"]["kind"] != "all" else []),
        "results/software.html",
        "results/cite.html",
        *tested("results/{method}/roc.png"),
        *expand("results/{method}/curves.png", method=trained),
        *expand("results/{method}/fold{fold}/seed{seed}/bootstrap/scores.png", method=own, **each_run),
        *(expand("results/bootstrap/fold{fold}/seed{seed}/scores.png", **each_run) if shared else []),
        *expand("results/{method}/fold{fold}/seed{seed}/tensorboard", method=trained, **each_run),
        *expand("results/figures/{figure}.png", figure=paper_figures()),
    ]


def attribution(wildcards):
    """The line at the foot of a picture of somebody's data."""
    return raw.attribution(config, wildcards.dataset)


def stated_terms(wildcards, input):
    """What is kept with a data set, as JSON. A function of the input, so that other words cut no patches anew."""
    return json.dumps(raw.terms(config, wildcards.dataset), sort_keys=True)


def all_terms(wildcards):
    """The same of all data sets of the experiment, by name."""
    names = [*config["datasets"], *beside.needed(config)]
    return json.dumps({name: raw.terms(config, name) for name in names})


def cited(wildcards):
    """What publications are about: the methods of the experiment, its data sets and their kinds."""
    names = [*config["datasets"], *beside.needed(config)]
    kinds = [] if "phantom" in config else [config["collections"][name]["kind"] for name in names]
    return list(dict.fromkeys([*config["methods"], *kinds]))
