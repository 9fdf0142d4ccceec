"""Run times and memory of jobs by rule, and the software that they ran on."""

import json
from pathlib import Path

import pytest

from pipeline.errors import EmptyError
from pipeline.files import read_csv
from workflow import costs, software

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
RULES = {
    "train_model": "benchmarks/results/{method}/seed{seed}/model.tsv",
    "draw_roc": "benchmarks/results/{method}/roc.tsv",
    "write_paper_table": "benchmarks/results/tables/{table}.tsv",
    "tabulate_effects": "benchmarks/results/tables/effects.tsv",
}


def job(path: str, seconds: float, memory: str, cpu: str) -> None:
    file = Path("benchmarks", path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{HEADER}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t0\t{cpu}\n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    job("results/a/seed0/model.tsv", 10, "300", "9")
    job("results/b/seed12/model.tsv", 30.5, "200", "29")
    job("results/a/roc.tsv", 0.5, "NA", "-")  # over before it was measured
    job("results/tables/effects.tsv", 2, "1", "1")
    job("results/elsewhere.tsv", 100, "1", "1")  # of a rule that there is no longer
    return tmp_path


def test_jobs_of_a_rule_are_added_up_and_the_largest_memory_counts() -> None:
    table = costs.summed(costs.read_benchmarks(Path("benchmarks"), RULES))
    assert list(table["rule"]) == ["train_model", "tabulate_effects", "draw_roc"]
    first, _, second = table.to_dict("records")
    assert first == {
        "rule": "train_model", "jobs": 2, "seconds": 40.5, "longest": 30.5, "CPU seconds": 38, "memory, MB": 300,
    }  # fmt: skip
    assert (second["jobs"], second["seconds"]) == (1, 0.5)


def test_what_was_not_measured_is_empty_and_not_0() -> None:
    costs.main(
        [
            "--benchmarks",
            "benchmarks",
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


def test_no_benchmark_at_all_is_one_line() -> None:
    with pytest.raises(EmptyError, match=r"E-EMPTY benchmarks: .*no benchmark of a known rule"):
        costs.read_benchmarks(Path("benchmarks"), {"train_model": "elsewhere"})


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
