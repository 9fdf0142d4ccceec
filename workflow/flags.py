"""Settings as command line flags."""

import shlex
from collections.abc import Mapping
from typing import Any


def flags(settings: Mapping[str, Any]) -> str:
    """Flags named as the keys, quoted for a shell; None is left out, a mapping becomes ``name=value`` words.

    Each of these stands with the flag, so that a name may begin with a dash.

    >>> flags({"slice_rule": "paper", "window": [-1400, 200], "table": None, "folders": {"no": 0, "yes": 1}})
    '--slice-rule paper --window -1400 200 --folders=no=0 --folders=yes=1'
    """
    words: list[str] = []
    for key, value in settings.items():
        if value is None:
            continue
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, Mapping):
            words += [f"{flag}={name}={entry}" for name, entry in value.items()]
        elif isinstance(value, list | tuple):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    return shlex.join(words)
