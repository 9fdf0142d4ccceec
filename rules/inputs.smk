# What the rules of downloads, baselines, challenge, tables, figures and effects take in. No rules: functions alone.

from model.papers import numbers
from workflow import downloads


def accepted(wildcards):
    """No input; ends the run with the terms of what would be downloaded, unless they are accepted."""
    if message := downloads.refusal(config):
        sys.exit(message)
    return []


def images_to_download(wildcards):
    """What there is to download but for label files."""
    return [
        *expand("<data>/raw/.{dataset}.checked", dataset=downloads.with_images(config)),
        *expand("<data>/raw/.{dataset}.pictures", dataset=downloads.with_pictures(config)),
    ]


def to_download(wildcards):
    """What there is to download for the experiment."""
    labels = ["<data>/raw/.labels"] if downloads.label_files(config) else []
    return accepted(wildcards) + images_to_download(wildcards) + labels


def label_flags(wildcards, input):
    """The data sets whose label files are needed, and their folders. A function of the input, as these may move."""
    return downloads.label_flags(config)


def call(wildcards):
    """Another value in each call, so that what it is a param of always runs."""
    return time.time_ns()


def download_folder(wildcards, input):
    """Where the downloads of a data set go: where they are looked for."""
    return raw.folder(config, wildcards.dataset)


def download_flags(wildcards):
    """The settings of downloads as flags."""
    return flags(config["download"])


def adc_slices(name, prefix=""):
    """The slices and findings of a collection with ADC maps, by the names of the inputs."""
    return {
        f"{prefix}slices": f"<data>/{name}/slices.h5",
        f"{prefix}findings": f"<data>/{name}/findings.csv",
    }


def adc_maps(wildcards):
    """The ADC maps of the target for the rule that reads them; ends the run where there are none."""
    if wildcards.method != "adc":
        return {}
    if message := beside.no_adc(config):
        sys.exit(message)
    return adc_slices(beside.adc_maps(config))


def baseline_files(wildcards):
    """What a method without a network of its own reads besides patches and splits."""
    if wildcards.method == "probe":
        return {"embeddings": embeddings(config["target"])}
    return adc_maps(wildcards)


def embeddings(dataset):
    """The features that a probe uses of a data set."""
    return f"<data>/{dataset}/embeddings/{config['hyperparameters']['probe']['encoder']}.h5"


def encoder_flags(wildcards):
    """The settings of an encoder."""
    return flags(config["encoders"][wildcards.encoder])


def encoder_code(wildcards):
    """The digest of embedding with its network, which is loaded by name."""
    return code("model.embeddings", f"model.networks.{config['encoders'][wildcards.encoder]['network']}")


def baseline_flags(wildcards, input):
    """The settings of a baseline, and the files that it reads."""
    files = ("embeddings", "slices", "findings")
    settings = config["hyperparameters"][wildcards.method]
    paths = {key: getattr(input, key, None) for name in files for key in (name, f"unlabelled_{name}")}
    return flags({k: value for k, value in settings.items() if k not in ("collection", "encoder")} | paths)


def challenge_file(name):
    """A file of the challenge's collection; ends the run where the config names none."""

    def of(wildcards):
        if message := beside.not_asked(config):
            sys.exit(message)
        return f"<data>/{config['challenge']}/{name}"

    return of


def challenge_files(wildcards):
    """The same of the target and of the challenge's findings; ends the run where there are none."""
    if wildcards.method == "probe":
        return baseline_files(wildcards) | {"unlabelled_embeddings": embeddings(config["challenge"])}
    if wildcards.method != "adc":
        return {}
    if message := beside.no_adc(config) or beside.no_adc(config, challenge=True):
        sys.exit(message)
    return adc_slices(beside.adc_maps(config)) | adc_slices(config["challenge"], "unlabelled_")


def state_of_run(wildcards):
    """The state of a network that the result takes."""
    folder = {"last": "", "best": "best/"}[config["evaluation"]["state"]]
    return f"results/{wildcards.method}/fold{wildcards.fold}/seed{wildcards.seed}/{folder}model.safetensors"


def challenge_raw(wildcards, input):
    """Where the challenge's table lies."""
    return raw.folder(config, config["challenge"])


def truth(wildcards):
    """The truth of the challenge, or the phantoms that bring it; ends the run where there is none."""
    if config["truth"] is None:
        sys.exit(str(ConfigError("nothing", file="truth", expected="a CSV with the labels of the challenge")))
    if "phantom" in config:
        return f"<data>/raw/{beside.home(config, config['challenge'])}"
    if not Path(config["truth"]).expanduser().exists():
        sys.exit(str(ConfigError("no such file", file="truth", expected=f"the file {config['truth']}")))
    return Path(config["truth"]).expanduser()


def table_results(wildcards):
    """The results that stand in a table, of the methods of the experiment."""
    tested = config["methods"] if config["split"]["kind"] != "all" else []
    return expand("results/{method}_auc.json", method=numbers.methods_of(wildcards.table, tested))


def table_histories(wildcards):
    """The learning curves that a table is made of."""
    return expand(
        "results/{method}/fold{fold}/seed{seed}/history.csv",
        method=numbers.with_histories(wildcards.table, config["methods"]),
        fold=range(config["split"]["n"]),
        seed=config["seeds"],
    )


def table_challenge(wildcards):
    """Scores on the challenge's findings, where the config names their truth."""
    scored = config["methods"] if config["truth"] else []
    return expand("results/{method}_challenge.json", method=numbers.with_challenge(wildcards.table, scored))


def table_published(wildcards):
    """The public logs, where the config names them and the table has what they tell."""
    named = config["published"] and wildcards.table in ("hydra_1", "transfer_log")
    return list(rules.replay_published.output) if named else []


def table_phases(wildcards):
    """The phases of the methods in a table, as JSON."""
    trained = [name for name in numbers.methods_of(wildcards.table, config["methods"]) if name in METHODS]
    return json.dumps({name: methods.phases(name, config) for name in trained})


def table_candidates(wildcards):
    """How many random networks the methods in a table score, as JSON."""
    rwg = config["hyperparameters"]["rwg"]["candidates"]
    counts = {"typhon": config["bootstrap"]["candidates"], "rwg": rwg}
    shown = numbers.methods_of(wildcards.table, config["methods"])
    return json.dumps({name: count for name, count in counts.items() if name in shown})


def target_kind(wildcards):
    """What kind of data the target is, to say how it compares with that of the papers."""
    return "phantom" if "phantom" in config else config["collections"][config["target"]]["kind"]


def runs_of_figure(wildcards):
    """The folders of the runs that a figure shows."""
    methods = drawn(wildcards.figure, config["methods"])
    return expand(
        "results/{method}/fold{fold}/seed{seed}",
        method=methods if FIGURES[wildcards.figure].files else [],
        fold=range(config["split"]["n"]),
        seed=config["seeds"],
    )


def files_of_figure(wildcards):
    """What it reads of them."""
    return [f"{run}/{file}" for run in runs_of_figure(wildcards) for file in FIGURES[wildcards.figure].files]


def results_of_figure(wildcards):
    """The results that a figure shows."""
    methods = drawn(wildcards.figure, config["methods"]) if FIGURES[wildcards.figure].results else []
    return expand("results/{method}_auc.json", method=methods)


def published_beneath(wildcards):
    """The public logs, where the config names them and the figure has room for them."""
    shown = config["published"] and FIGURES[wildcards.figure].published
    return rules.replay_published.output.hydra if shown else []


def variants():
    """The effects that change something here, and what they stand beside."""
    names = effects.wanted(config)
    return [*dict.fromkeys(map(effects.method, names)), *names]


def before_variant(wildcards):
    """The result of the run itself, where it is one side of an effect, or the base whose start a variant shares."""
    name = wildcards.effect
    base = effects.method(name)
    if effects.is_own(name):
        return f"results/{base}_auc.json"
    return f"results/effects/{base}.json" if effects.shares_start(config, name) else []


def borrowed(wildcards):
    """The flags that have a variant train on the patches and splits of the run, from the start of its base."""
    name = wildcards.effect
    data = [] if effects.makes_data(config, name) else ["--borrows"]
    shared = effects.shares_start(config, name)
    return " ".join([*data, *(["--start", effects.folder(effects.method(name))] if shared else [])])


def measured(wildcards):
    """What all variants come to; ends the run where nothing is tested."""
    if message := beside.untested(config):
        sys.exit(message)
    return expand("results/effects/{effect}.json", effect=variants())
