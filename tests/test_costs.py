"""Run times and memory of jobs by rule, and the software that they ran on."""

import json
from pathlib import Path

import pytest

from pipeline.errors import EmptyError
from pipeline.files import read_csv
from workflow import costs, software

RULES = {
    "train_model": "logs/results/{method}/seed{seed}/model.log",
    "draw_roc": "logs/results/{method}/roc.log",
    "write_paper_table": "logs/results/tables/{table}.log",
    "tabulate_effects": "logs/results/tables/effects.log",
}


def job(path: str, end: str) -> None:
    file = Path("logs", path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"python -m a\n1 of 2 done after all\n{end}\n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    job("results/a/seed0/model.log", "done after 10.0 s (CPU 9.0 s, 300 MB)")
    job("results/b/seed12/model.log", "done after 30.5 s (CPU 29.0 s, 200 MB)")
    job("results/c/seed3/model.log", "failed with 1 after 90.0 s (CPU 9.0 s, 900 MB)")
    job("results/d/seed3/model.log", "training 3/9")  # under way
    job("results/a/roc.log", "done after 0.5 s")  # of a version that did not measure more
    job("results/tables/effects.log", "done after 2.0 s (CPU 1.0 s, 1 MB)")
    job("results/elsewhere.log", "done after 100.0 s (CPU 1.0 s, 1 MB)")  # of a rule that there is no longer
    return tmp_path


def test_jobs_of_a_rule_are_added_up_and_the_largest_memory_counts() -> None:
    table = costs.summed(costs.read_logs(Path("logs"), RULES))
    assert list(table["rule"]) == ["train_model", "tabulate_effects", "draw_roc"]
    first, _, second = table.to_dict("records")
    assert first == {
        "rule": "train_model", "jobs": 2, "seconds": 40.5, "longest": 30.5, "CPU seconds": 38, "memory, MB": 300,
    }  # fmt: skip
    assert (second["jobs"], second["seconds"]) == (1, 0.5)


def test_what_was_not_measured_is_empty_and_not_0() -> None:
    costs.main(
        [
            "--logs",
            "logs",
            "--rules",
            json.dumps(RULES),
            "--out",
            "costs.csv",
            "--picture",
            "c.png",
        ]
    )
    table = read_csv("costs.csv")
    assert table.loc[table["rule"] == "draw_roc", ["CPU seconds", "memory, MB"]].to_numpy().tolist() == [
        ["", ""]
    ]
    assert "<td>train_model</td>" in Path("costs.html").read_text()
    assert Path("c.png").stat().st_size > 5_000


def test_no_job_at_all_is_one_line() -> None:
    with pytest.raises(EmptyError, match=r"E-EMPTY logs: .*no job of a known rule"):
        costs.read_logs(Path("logs"), {"train_model": "elsewhere"})


def test_a_package_that_is_not_as_locked_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"torch": "2.13.0+cpu", "numpy": "1.0", "absent": ""}
    monkeypatch.setattr(software, "installed", found.__getitem__)
    rows = software.packages({"torch": "2.13.0", "numpy": "2.4.6", "absent": "1"})
    assert [(row["package"], row["remark"]) for row in rows] == [
        ("absent", "not installed"), ("numpy", "not as locked"), ("torch", ""),
    ]  # fmt: skip


def test_the_commits_and_devices_are_those_of_the_results() -> None:
    for name, commit, device in (("a", "1234", "cpu"), ("b", None, "cuda")):
        Path(f"{name}.json").write_text(json.dumps({"device": device, "provenance": {"commit": commit}}))
    software.main(["--results", "a.json", "b.json", "--out", "s.html"])
    made = Path("s.html").read_text()
    assert "<td>1234, not from a git checkout</td>" in made
    assert "<td>cpu, cuda</td>" in made
    assert "<td>numpy</td>" in made
