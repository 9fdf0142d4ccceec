"""How a step ends."""

import subprocess
import sys

import pytest

from pipeline.cli import BROKEN_PIPE, run_cli
from pipeline.errors import ConfigError
from pipeline.provenance import ROOT

MANY = "from pipeline.cli import run_cli; run_cli(lambda argv: [print('line', n) for n in range(10**6)])"


def test_output_that_nobody_reads_on_ends_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MANY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as step:
        assert step.stdout is not None
        assert step.stdout.readline() == "line 0\n"
        step.stdout.close()
        assert step.stderr is not None
        assert step.stderr.read() == ""
    assert step.returncode == BROKEN_PIPE


def test_another_broken_pipe_is_no_quiet_end() -> None:
    def main(_argv: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_cli(main)


def test_what_a_user_can_mend_is_one_line() -> None:
    def main(_argv: object) -> None:
        raise ConfigError("x", file="key", expected="y")

    with pytest.raises(SystemExit, match=r"^E-CONFIG key: expected y, found x$"):
        run_cli(main)
