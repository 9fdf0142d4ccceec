import re
import subprocess
import sys

import pytest

from pipeline.provenance import ROOT

STEP = """
import logging, sys
from tqdm import tqdm
{body}
"""


def run(tmp_path, body, *arguments):
    """Run a module of that body as a rule would; returns the process and the log."""
    (tmp_path / "step.py").write_text(f"import logging, sys\nfrom tqdm import tqdm\n{body}\n")
    process = subprocess.run(
        [sys.executable, "-m", "workflow.job", "logs/step.log", "step", *arguments],
        cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return process, (tmp_path / "logs/step.log").read_text().splitlines()


def test_the_log_begins_with_the_command_and_ends_with_the_seconds(tmp_path):
    process, log = run(tmp_path, "assert sys.argv[1:] == ['--out', 'a b']", "--out", "a b")
    assert process.returncode == 0
    assert log[0] == "python -m step --out 'a b'"
    assert re.fullmatch(r"done after \d+\.\d s \(CPU \d+\.\d s, \d+ MB\)", log[-1])


def test_a_message_reaches_both_terminal_and_log_and_fails_the_job(tmp_path):
    process, log = run(tmp_path, "sys.exit('E-TEST file: expected a, found b; mend it')")
    assert process.returncode == 1
    assert process.stderr == "E-TEST file: expected a, found b; mend it\n"
    assert log[1] == "E-TEST file: expected a, found b; mend it"
    assert log[2].startswith("failed with 1 after ")


def test_the_traceback_of_a_bug_reaches_both(tmp_path):
    process, log = run(tmp_path, "1 / 0")
    assert process.returncode == 1
    assert "ZeroDivisionError: division by zero" in process.stderr
    assert "ZeroDivisionError: division by zero" in log


@pytest.mark.parametrize(("body", "status"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit(0)", 0)])
def test_an_exit_status_is_passed_on(tmp_path, body, status):
    assert run(tmp_path, body)[0].returncode == status


DROPPED = """import os, signal, time, weakref
class Thing: pass
thing = Thing()
watched = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
del thing
"""


@pytest.mark.parametrize("then", ["time.sleep(50)", "sys.exit('E-OOM: expected enough memory')"])
def test_an_interrupt_that_python_drops_in_a_finalizer_comes_again(tmp_path, then):
    process, log = run(tmp_path, DROPPED + then)
    assert process.returncode == 130
    assert log[-1].startswith("failed with 130 after ")
    assert float(log[-1].split()[4]) < 30


def test_log_lines_reach_both(tmp_path):
    process, log = run(tmp_path, "logging.getLogger('typhon').info('7 findings')")
    assert process.stderr == "7 findings\n"
    assert log[1] == "7 findings"


def test_progress_bars_leave_no_trace_in_the_log(tmp_path):
    body = "import time\nfor n in tqdm(range(50), mininterval=0): time.sleep(0.001)\nprint('after', file=sys.stderr)"
    process, log = run(tmp_path, body)
    assert "25/50" in process.stderr
    assert not [line for line in log if "25/50" in line]
    assert "after" in log
    assert len(log) <= 4  # command, the bar's last state, after, done


def test_bars_are_off_where_nobody_watches(tmp_path):
    process, _ = run(tmp_path, "list(tqdm(range(50), disable=None))")
    assert process.stderr == ""
