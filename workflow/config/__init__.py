"""Check a configuration, fill in defaults, and say in one line what is wrong with it."""

from typing import Any

from workflow import variants
from workflow.config import runs, search
from workflow.config.agreement import contradictions, unknown_names
from workflow.config.file import check_file, count
from workflow.config.messages import nearest, together
from workflow.config.search import MAX_CANDIDATES
from workflow.config.typed import filled

__all__ = ["MAX_CANDIDATES", "check_file", "checked", "nearest"]


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """Fill the defaults into ``config`` in place and return it.

    Raises ConfigError, with the path of the key and, for an unknown one, the nearest that exists.
    """
    found = _alone(config)
    runs.check(found, found["methods"])
    config.clear()
    config.update(found)
    return config


def _alone(config: dict[str, Any]) -> dict[str, Any]:
    """The same without asking whether methods fit that begin with each other's runs."""
    count(config, "config")
    found = filled(config)
    if unknown := list(unknown_names(found)):
        raise together(unknown)
    for problem in contradictions(found):
        raise problem
    variants.check(found, _alone)
    if found["search"]["method"] or found["search"]["grid"]:
        search.check(found)
    return found
