import json
import os

from workflow.summary import summary


def write(folder, method, **changes):
    runs = [{"fold": fold, "seed": seed, "dataset": dataset, "split": "test", "state": state, "findings": 7}
            for fold in (0, 1) for seed in (0, 1) for dataset in ("a", "b") for state in ("last", "best")]  # fmt: skip
    result = {"method": method, "target": "a", "auroc": 0.8125, "ci95": [0.6, 0.95], "ci95_kind": "logit",
              "device": "cpu", "runs": runs} | changes  # fmt: skip
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / f"{method}_auc.json").write_text(json.dumps(result))


def test_one_line_per_method_with_findings_counted_once(tmp_path):
    write(tmp_path, "typhon")
    write(tmp_path, "classical", auroc=None, ci95=None)
    heading, classical, typhon = summary(tmp_path).splitlines()
    assert heading.split("  ")[0] == "method"
    assert typhon.split() == ["typhon", "a", "0.812", "0.600–0.950", "14", "2", "2", "cpu"]
    assert classical.split() == ["classical", "a", "none", "none", "14", "2", "2", "cpu"]


def test_a_result_whose_interval_meant_something_else_says_so(tmp_path):
    write(tmp_path, "typhon")
    path = tmp_path / "results" / "typhon_auc.json"
    result = json.loads(path.read_text())
    del result["ci95_kind"]
    path.write_text(json.dumps(result))
    assert "  older version  " in summary(tmp_path)


def test_paired_differences_stand_below(tmp_path):
    (tmp_path / "results").mkdir()
    cells = 'method,reference,difference,ci95,corrected95\nhydra,classical,-0.0312,"[-0.1, 0.04]",\n'
    (tmp_path / "results" / "differences.csv").write_text(cells)
    heading, row = summary(tmp_path).splitlines()[-2:]
    assert heading.split("  ")[0] == "paired difference"
    assert row.split("  ") == ["hydra − classical", "-0.0312", "[-0.1, 0.04]"]


def test_differences_of_former_results_are_left_out(tmp_path):
    write(tmp_path, "hydra")
    table = tmp_path / "results" / "differences.csv"
    table.write_text("method,reference,difference,ci95,corrected95\nhydra,classical,0.1,x,y\n")
    os.utime(table, (1_000_000_000, 1_000_000_000))
    assert "paired difference" not in summary(tmp_path)
