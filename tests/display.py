"""A virtual display for tests of windows, and a hand at its mouse and keyboard."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MISSING = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
needs_display = pytest.mark.skipif(
    bool(MISSING), reason=f"needs {' and '.join(MISSING)} (Debian: xvfb xdotool)"
)


@contextmanager
def virtual_display(width: int = 1200, height: int = 1000) -> Iterator[str]:
    """Start Xvfb on a display of its own and give its name, such as ``:99``; end it afterwards."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(
        command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def xdotool(display: str, *words: object) -> str:
    """Send real events; the output of the command."""
    done = subprocess.run(
        ["xdotool", *map(str, words)],
        env=os.environ | {"DISPLAY": display},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
