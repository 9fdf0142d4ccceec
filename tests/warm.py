"""Calls of ``./run`` from a process that has imported everything: most of a dry run is imports and digests.

Started as a module it reads a call per line as JSON (folder, words), forks, and answers with status and output.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
_servers: list[subprocess.Popen[str]] = []


class Ended(NamedTuple):
    """How a call ended."""

    returncode: int
    printed: str


def run(folder: Path, words: tuple[str, ...]) -> Ended:
    """Call ``./run`` of this checkout in a folder."""
    if not _servers:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        line = [sys.executable, "-m", "tests.warm"]
        pipe = subprocess.PIPE
        _servers.append(subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment))
        atexit.register(_servers[0].terminate)
    server = _servers[0]
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps([str(folder), words]), file=server.stdin, flush=True)
    return Ended(*json.loads(server.stdout.readline()))


def _child(folder: str, words: list[str], out: int) -> None:
    """Become ``./run``; never returns."""
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(folder)
    sys.argv[1:] = words
    status = 1
    try:
        status = launcher.main(words)
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
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for module in re.findall(r'code\("([\w.]+)"\)', path.read_text()):
            code(module)
    for line in sys.stdin:
        folder, words = json.loads(line)
        with tempfile.TemporaryFile("w+") as out:
            if not (child := os.fork()):
                _child(folder, words, out.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            print(json.dumps([status, out.read()]), flush=True)


if __name__ == "__main__":
    import re

    import snakemake.cli
    import snakemake.workflow  # noqa: F401

    from pipeline.provenance import code
    from workflow import run as launcher

    serve()
