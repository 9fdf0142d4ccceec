"""Put the words of a Snakemake command line into an order that Snakemake understands.

``--resources gpu=1 TARGET`` gives the target to ``--resources``, and targets on both sides of an option are
refused. Here an option that takes any number of values gets those that look like its values, and the
targets go behind ``--``.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Predicate = Callable[[str], bool]


def _like(pattern: str) -> Predicate:
    return lambda word: re.fullmatch(pattern, word) is not None


def _one_of(*words: str) -> Predicate:
    return lambda word: set(word.split(",")) <= set(words)


_SETTING = _like(r"[\w:.-]+=.*")
_NAME = _like(r"\w+")

VALUES: dict[str, Predicate] = {
    "resources": _SETTING,
    "set_threads": _SETTING,
    "set_resources": _SETTING,
    "set_scatter": _SETTING,
    "set_resource_scopes": _SETTING,
    "default_resources": _SETTING,
    "config": _SETTING,
    "groups": _SETTING,
    "group_components": _SETTING,
    "configfile": _like(r"(?!results/).+\.(ya?ml|json)|results/search/[^/]+/best\.yaml"),
    "envvars": _like(r"[A-Z_][A-Z0-9_]*"),
    "rerun_triggers": _one_of("code", "input", "mtime", "params", "software-env"),
    "strict_dag_evaluation": _one_of("cyclic-graph", "functions", "periodic-wildcards"),
    "quiet": _one_of("all", "host", "progress", "reason", "rules"),
    "software_deployment_method": _one_of("apptainer", "conda", "env-modules"),
    "shared_fs_usage": _one_of(
        "input-output", "persistence", "software-deployment", "software-deployment-cache", "source-cache",
        "sources", "storage-local-copies", "none",
    ),
    "logger": _NAME,
    "preemptible_rules": _NAME,
    "allowed_rules": _NAME,
    "cache": _NAME,
    "target_jobs": _SETTING,
    "report": _like(r".+\.(html|zip)"),
    "lint": _one_of("text", "json"),
    "dag": _one_of("dot", "mermaid-js"),
    "rulegraph": _one_of("dot", "mermaid-js"),
    "scheduler": _one_of("greedy", "ilp", "milp"),
}  # fmt: skip
"""By option (its ``dest``), what its values look like; options of any number that are not here, such as
``--forcerun``, take rules or files, which no look tells from a target: they keep all words that follow."""


@dataclass
class Words:
    """A command line taken apart: ``options`` as (name of the option, words), and the targets."""

    options: list[tuple[str, list[str]]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def line(self) -> list[str]:
        """The words in an order that Snakemake understands."""
        words = [word for _, option in self.options for word in option]
        return [*words, "--", *self.targets] if self.targets else words

    def values(self, name: str) -> list[str] | None:
        """The values given to an option, the last time that it is named; None if it is not."""
        given = [option[1:] for known, option in self.options if known == name]
        return given[-1] if given else None


def parse(words: Sequence[str], parser: argparse.ArgumentParser) -> Words:
    """Take ``words`` apart with the help of Snakemake's own parser."""
    known = {text: action for action in parser._actions for text in action.option_strings}
    result, rest = Words(), list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            result.targets += rest
            break
        if not word.startswith("-") or word == "-":
            result.targets.append(word)
            continue
        name, value = _split(word, known)
        action = known.get(name)
        if action is not None and action.nargs == 0 and value and not word.startswith("--"):
            rest.insert(0, f"-{value}")  # -np is -n -p
            value = None
        option = [name] if value is None else [name, value]
        if action is not None and value is None:
            _take(action, option, rest)
        result.options.append((action.dest if action else name, option))
    return result


def _split(word: str, known: dict[str, argparse.Action]) -> tuple[str, str | None]:
    """``--name=value`` and ``-j8`` as name and value; an abbreviated name in full."""
    if not word.startswith("--"):
        short = word[:2]
        return (short, word[2:].removeprefix("=") or None) if short in known else (word, None)
    name, equals, value = word.partition("=")
    if name not in known:
        full = [text for text in known if text.startswith(name)]
        name = full[0] if len({known[text].dest for text in full}) == 1 else name
    return name, value if equals else None


def _take(action: argparse.Action, option: list[str], rest: list[str]) -> None:
    """Move the values of an option from ``rest`` to ``option``."""
    most = action.nargs if isinstance(action.nargs, int) else len(rest) if action.nargs in ("*", "+") else 1
    any_value = action.nargs is None or action.dest not in VALUES
    while rest and len(option) <= most and not rest[0].startswith("-"):
        if not any_value and not VALUES[action.dest](rest[0]):
            break
        option.append(rest.pop(0))
