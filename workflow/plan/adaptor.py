"""The plan as Snakemake asks for it: functions of wildcards, which end the run where something cannot be."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import InputError
from pipeline.system import of_system
from workflow.plan import Config, RefusedError


class Wildcards(Protocol):
    """As much of Snakemake's wildcards as is needed here."""

    def __getitem__(self, name: str, /) -> str: ...


Asked = Callable[[Wildcards], Any]


@contextmanager
def ending() -> Iterator[None]:
    """End the run with the line, or the lines, of what the user can fix."""
    try:
        yield
    except (InputError, RefusedError) as error:
        sys.exit(str(error))
    except OSError as error:
        if (told := of_system(error)) is None:
            raise
        sys.exit(str(told))


def asks(config: Config) -> Callable[..., Asked]:
    """``planned(function, **known)`` for rules.

    Of the arguments of ``function`` behind config, those without a value here or by default are wildcards.

    >>> planned = asks({"views": 246})
    >>> planned(lambda config, dataset, key: f"{dataset}: {config[key]}", key="views")({"dataset": "brain"})
    'brain: 246'
    """

    def planned(function: Callable[..., Any], **known: Any) -> Asked:
        _, *others = inspect.signature(function).parameters.values()
        names = [one.name for one in others if one.name not in known and one.default is one.empty]

        def of(wildcards: Wildcards) -> Any:
            with ending():
                return function(config, **{name: wildcards[name] for name in names}, **known)

        return of

    return planned


def untracked(asked: Asked) -> Callable[[Wildcards, Any], Any]:
    """The same as a function of the input: another answer makes nothing anew."""
    return lambda wildcards, input: asked(wildcards)  # noqa: ARG005  (Snakemake goes by the name)


def memory(base: int, per_input: float = 0) -> Callable[[Any, Any, int], int]:
    """Memory in MB: ``base``, and ``per_input`` times the size of the input; a retry gets as much again."""

    def of(_wildcards: Any, input: Any, attempt: int) -> int:
        # The input of a rule that is grouped with those before it is not there yet, so its size is not asked.
        # Not by input.size_mb: within its own event loop Snakemake does not await it, and warns of that.
        files = [Path(file).stat().st_size for file in input] if per_input else []
        return attempt * (base + int(per_input * sum(files) / 2**20))

    return of
