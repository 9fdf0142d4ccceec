"""The block at the end of a run that failed; tests/test_workflow.py has it of a real one."""

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.failed import Failures, block, told

LOGS = {
    "whole": (
        "python -m a\nE-LOSS: x\nE-DISK y\nE-LOSS: x\nfailed with 1 after 2.0 s\n",
        ["E-LOSS: x", "E-DISK y"],
    ),
    "done": ("python -m a\ndone after 2.0 s\n", []),
    "ended": ("python -m a\nfailed with 130 after 2.0 s\n", []),
    "empty": ("", []),
    "bug": (
        "python -m a\nTraceback (most …\nKeyError: 'x'\nfailed with 1 after 2.0 s\n",
        ["KeyError: 'x' (an error of the program, not of your data: its log has all of it)"],
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_the_errors_of_a_job_are_those_of_its_log_once_each(tmp_path, name):
    text, expected = LOGS[name]
    (tmp_path / "log").write_text(text)
    assert told(str(tmp_path / "log")) == expected
    assert told(str(tmp_path / "none")) == []


def test_a_job_whose_log_breaks_off_was_killed(tmp_path):
    (tmp_path / "cut").write_text("python -m a\nepoch 3\n")
    (line,) = told(str(tmp_path / "cut"))
    assert line.startswith(
        f"E-OOM {tmp_path}/cut: expected the end of a job, found that the system killed it"
    )


def record(event, text="", **facts):
    made = logging.makeLogRecord({"msg": text, **facts})
    if event is not None:
        made.event = event
    return made


def test_the_block_says_what_where_what_to_do_and_what_is_kept(tmp_path, capsys):
    heard = Failures()
    (tmp_path / "a.log").write_text("E-LOSS: found nan; lower the rate\nfailed with 1 after 1 s\n")
    assert heard.filter(record(LogEvent.RUN_INFO, "Job stats", stats={"train": 9, "total": 9}))
    for number in range(5):
        heard.filter(
            record(LogEvent.JOB_INFO, jobid=number, rule_msg=f"Training {number}", rule_name="train")
        )
    heard.filter(record(LogEvent.PROGRESS, done=2, total=9))
    assert heard.filter(record(None, "Elapsed time: 1")), "nothing has failed so far"
    assert not heard.filter(record(LogEvent.ERROR, "RuleException:\nCalledProcessError in file a, line 1"))
    for number in range(4):
        assert not heard.filter(
            record(LogEvent.JOB_ERROR, jobid=number, rule_name="train", log=[f"{tmp_path}/a.log"])
        )
    assert capsys.readouterr().err.splitlines()[0] == "Failed: Training 0"
    assert not heard.filter(record(LogEvent.ERROR, "WorkflowError:\nAt least one job did not complete"))
    assert not heard.filter(record(None, "Complete log(s): x"))
    assert heard.filter(record(LogEvent.ERROR, "WorkflowError:\nsomething else"))
    assert block(heard, ["s.log"]).splitlines() == [
        "",
        "E-LOSS: found nan; lower the rate",
        *(f"    Training {number}: {tmp_path}/a.log" for number in range(3)),
        "    and 1 more",
        "",
        "Of 9 steps 4 failed, 2 are done and kept, 3 did not start. Fix what is named above and give the same command again.",
        "All that Snakemake says is in s.log",
    ]
