"""Ask the process that tests/warm.py keeps for a command; as a script, ``python -m MODULE`` is one.

Without that process, imports nothing that takes time.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

NAME = "TYPHON_TESTS_WARM"
"""Environment variable that names its socket."""


def ask(
    name: str, module: str, words: Sequence[str], folder: str, environment: Mapping[str, str],
    files: Sequence[int], own_session: bool,
) -> socket.socket:  # fmt: skip
    """Start ``python -m module`` on three open files; the socket tells its number, and then how it ended."""
    answers = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    answers.connect(f"\0{name}")
    call = json.dumps([module, [*words], folder, dict(environment), own_session])
    socket.send_fds(answers, [call.encode()], files)
    return answers


def main() -> int:
    """Be the command ``sys.argv``; its exit status."""
    _, _, module, *words = sys.argv
    here = os.getcwd()  # noqa: PTH109 pathlib takes a while to import
    answers = ask(os.environ[NAME], module, words, here, os.environ, [0, 1, 2], own_session=False)
    answers.recv(64)
    status = int(answers.recv(64))
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main())
