"""The tables and figures of the papers: which there are in an experiment, and what each is made of."""

import json

from model.training import methods
from model.training.methods import METHODS
from papers import numbers
from papers.figures.registry import FIGURES, drawn, wanted
from workflow.plan import Config, is_tested, runs

KINDS = ("prostatex", "lungx", "brain")
"""What the papers are about."""
REPLAYED = {name: f"published/{name}/history.csv" for name in ("hydra", "transfer")}
"""The published logs as histories of ours."""


def concerned(config: Config) -> bool:
    """Whether the target is one of the papers' collections, or a phantom of it."""
    return config["collections"][config["target"]]["kind"] in KINDS


def tables(config: Config) -> list[str]:
    """The tables of the papers; none beside data that they are not about."""
    return list(numbers.TABLES) if concerned(config) else []


def figures(config: Config) -> list[str]:
    """The figures of the papers that the methods of the experiment can draw; of other data only some."""
    trained = {name: METHODS[name](config) for name in config["methods"] if name in METHODS}
    names = {name: [phase["name"] for phase in phases] for name, phases in trained.items()}
    found = wanted(names, follow=is_tested(config) and config["evaluation"]["follow"])
    own = [name for name in found if concerned(config) or FIGURES[name].of_any_data]
    return [name for name in own if is_tested(config) or not FIGURES[name].results]


def table_results(config: Config, table: str) -> list[str]:
    """The results that stand in a table, of the methods of the experiment."""
    tested = config["methods"] if is_tested(config) else []
    return [f"results/{name}_auc.json" for name in numbers.methods_of(table, tested)]


def table_histories(config: Config, table: str) -> list[str]:
    """The learning curves that a table is made of."""
    shown = numbers.with_histories(table, config["methods"])
    return [f"results/{name}/{run}/history.csv" for name in shown for run in runs(config)]


def table_challenge(config: Config, table: str) -> list[str]:
    """Scores on the challenge's findings, where the config names their truth."""
    scored = config["methods"] if config["truth"] else []
    return [f"results/{name}_challenge.json" for name in numbers.with_challenge(table, scored)]


def table_published(config: Config, table: str) -> list[str]:
    """The public logs, where the config names them and the table has what they tell."""
    named = config["published"] and table in ("hydra_1", "transfer_log")
    return list(REPLAYED.values()) if named else []


def table_phases(config: Config, table: str) -> str:
    """The phases of the methods in a table, as JSON."""
    shown = [name for name in numbers.methods_of(table, config["methods"]) if name in METHODS]
    return json.dumps({name: methods.phases(name, config) for name in shown})


def table_candidates(config: Config, table: str) -> str:
    """How many random networks the methods in a table score, as JSON."""
    rwg = config["hyperparameters"]["rwg"]["candidates"]
    counts = {"typhon": config["bootstrap"]["candidates"], "rwg": rwg}
    shown = numbers.methods_of(table, config["methods"])
    return json.dumps({name: count for name, count in counts.items() if name in shown})


def target_kind(config: Config) -> str:
    """What kind of data the target is, to say how it compares with that of the papers."""
    return "phantom" if "phantom" in config else str(config["collections"][config["target"]]["kind"])


def figure_runs(config: Config, figure: str) -> list[str]:
    """The folders of the runs that a figure shows."""
    shown = drawn(figure, config["methods"]) if FIGURES[figure].files else []
    return [f"results/{name}/{run}" for name in shown for run in runs(config)]


def figure_files(config: Config, figure: str) -> list[str]:
    """What it reads of them."""
    return [f"{run}/{file}" for run in figure_runs(config, figure) for file in FIGURES[figure].files]


def figure_results(config: Config, figure: str) -> list[str]:
    """The results that a figure shows."""
    shown = drawn(figure, config["methods"]) if FIGURES[figure].results else []
    return [f"results/{name}_auc.json" for name in shown]


def figure_published(config: Config, figure: str) -> list[str]:
    """The public logs, where the config names them and the figure has room for them."""
    return [REPLAYED["hydra"]] if config["published"] and FIGURES[figure].published else []
