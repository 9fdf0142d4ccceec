"""Calls of ``./run`` from a process that has imported everything: most of a dry run is imports.

Started as a module it reads a call per line as JSON (folder, words, code, seconds), forks, and answers with
status and output. A copy of the code is imported after the fork; what others wrote that it imports, before.
"""

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("workflow", "pipeline", "model", "papers")
_servers: list[subprocess.Popen[str]] = []


class Ended(NamedTuple):
    """How a call ended."""

    returncode: int
    printed: str


def run(folder: Path, words: tuple[str, ...], code: Path = ROOT, timeout: int = 600) -> Ended:
    """Call ``./run`` of this checkout, or of a copy of its code, in a folder."""
    if not _servers:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        line = [sys.executable, "-m", "tests.warm"]
        pipe = subprocess.PIPE
        _servers.append(subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment))
        atexit.register(_end, _servers[0])
    server = _servers[0]
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps([str(folder), words, str(code), timeout]), file=server.stdin, flush=True)
    return Ended(*json.loads(server.stdout.readline()))


def _end(server: subprocess.Popen[str]) -> None:
    server.terminate()
    server.wait()


def _child(folder: str, words: list[str], code: str, timeout: int, out: int) -> None:
    """Become ``./run``; never returns."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(folder)
    signal.alarm(timeout)
    sys.argv[1:] = words
    if code != str(ROOT):
        sys.path = [code if path == str(ROOT) else path for path in sys.path]
        os.environ["PYTHONPATH"] = code
        for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
            del sys.modules[name]
    status = 1
    try:
        status = importlib.import_module("workflow.run").main(words)
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve() -> None:
    """Answer calls until the input ends."""
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as out:
            if not (child := os.fork()):
                _child(*json.loads(line), out.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            print(json.dumps([status, out.read()]), flush=True)


if __name__ == "__main__":
    import snakemake.cli
    import snakemake.workflow  # noqa: F401

    importlib.import_module("workflow.run")
    for line in Path(ROOT, "rules/common.smk").read_text(encoding="utf-8").splitlines():
        if line.startswith(("import ", "from ")):  # what is planned with
            exec(line)
    serve()
