"""The page of results: intervals, counts, and a reason wherever there is no number."""

import json
from pathlib import Path

from model.report import overview

LINE = {
    "dataset": "a", "split": "test", "state": "last", "auroc": 0.75, "auroc_single": 0.5, "ci95": [0.25, 1.0],
    "ci95_kind": "logit", "bootstrap95": [0.3, 0.95], "corrected95": None, "corrected95_reason": "one split",
    "findings": 12, "positives": 4, "groups": 9,
    "runs": 1,
}  # fmt: skip
RUN = {
    "fold": 0, "seed": 3, "dataset": "a", "split": "test", "state": "last", "auroc": 0.75, "accuracy": 0.5, "recall": 1.0,
    "specificity": 0.25, "precision": None, "precision_reason": "no finding scores above 0.5", "f1": None,
    "f1_reason": "none", "findings": 12, "positives": 4,
}  # fmt: skip


def test_a_method_has_a_line_and_what_is_not_of_its_headline_state_has_none(tmp_path: Path) -> None:
    other = {"dataset": "b", "split": "validation", "auroc": 0.125}
    best = {"state": "best", "auroc": 0.999}
    result = {"method": "typhon", "target": "a", "state": "last", "ci95_kind": "logit", "summary": [LINE, LINE | other, LINE | best],
              "runs": [RUN, RUN | best]}  # fmt: skip
    (tmp_path / "r.json").write_text(json.dumps(result))
    overview.main(["--results", str(tmp_path / "r.json"), "--out", str(tmp_path / "o.html")])
    made = (tmp_path / "o.html").read_text(encoding="utf-8")
    head = made.split("<h2>")[0]
    assert '<td>typhon</td><td class="right">0.750</td><td class="right">[0.250, 1.000]</td>' in head
    assert "<td>one split</td>" in head
    assert "0.125" not in head
    assert "0.125" in made
    assert "0.999" not in made
    assert "<td>no finding scores above 0.5</td>" in made
