"""What the report opens on: the number, its interval, who was tested, what was left out, a caution."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model.report import front
from pipeline.files import write_csv
from tests.test_overview import LINE

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
"""A PNG."""


def result(method: str, auroc: float | None = 0.75, low: float = 0.6, **more: Any) -> dict[str, Any]:
    line = LINE | {"folds": 1} | more
    interval = None if auroc is None else [low, 0.9]
    return {"method": method, "target": "a", "state": "last", "auroc": auroc, "auroc_reason": "no positive finding",
            "ci95": interval, "ci95_kind": "logit", "summary": [line, line | {"state": "best"}]}  # fmt: skip


def written(folder: Path, *results: dict[str, Any], words: tuple[str, ...] = (), bad: str = "ok") -> str:
    rows = [("step", "index", "files before", 15), ("step", "index", "files after", 13),
            *(("step", name, "findings after", count) for name, count in (("findings", 13), ("slices", 12), ("patches", 12))),
            ("left out", "index", "E-DCM-TRUNC truncated", 2), ("left out", "slices", "E-GEO-GAP <gap>", 1)]  # fmt: skip
    names = ("group", "item", "statistic", "value")
    write_csv(folder / "fingerprint.csv", names, [dict(zip(names, row, strict=True)) for row in rows])
    checks = [("finite", "ok"), ("cuts", bad), ("people", "warning"), ("alignment", "not applicable")]
    write_csv(
        folder / "verify.csv", ("check", "result"), [{"check": one, "result": said} for one, said in checks]
    )
    (folder / "roc.png").write_bytes(PIXEL)
    paths = [folder / f"{each['method']}_auc.json" for each in results]
    for path, each in zip(paths, results, strict=True):
        path.write_text(json.dumps(each))
    front.main(["--results", *map(str, paths), "--roc", str(folder / "roc.png"), "--checks", str(folder / "verify.csv"),
                "--fingerprint", str(folder / "fingerprint.csv"), "--out", str(folder / "front.html"), *words])  # fmt: skip
    return (folder / "front.html").read_text(encoding="utf-8")


def test_one_method_is_the_heading_and_what_it_stands_on_follows(tmp_path: Path) -> None:
    made = written(tmp_path, result("typhon"))
    body = made.partition("<body>")[2]
    assert body.startswith("<h1>a: AUROC 0.750 [0.600, 0.900]</h1>")
    assert "Tested: 12 findings of 9 groups (patients, where they are known), 4 positive." in body
    assert "1 split, 1 run of each method." in body
    assert "Left out of a: 15 files found, 13 files readable. 2 E-DCM-TRUNC truncated." in body
    assert "13 findings with a label and a place, 12 findings with a slice. 1 E-GEO-GAP &lt;gap&gt;." in body
    assert "Checks of a: 2 passed, 1 warning (people)." in body
    assert body.index("Caution: All findings are of one data set.") < body.index("data:image/png;base64,")


def test_several_methods_are_a_table_in_their_order_and_none_is_chosen(tmp_path: Path) -> None:
    made = written(tmp_path, result("typhon", 0.7), result("hydra", 0.8), result("rwg", None))
    assert "<h1>a: AUROC on test findings</h1>" in made
    places = [made.index(f"<td>{name}</td>") for name in ("typhon", "hydra", "rwg")]
    assert places == sorted(places)
    assert "0.800 [0.600, 0.900]" in made
    assert "none, no positive finding" in made


@pytest.mark.parametrize(
    ("words", "low", "bad", "said"),
    [
        (("--synthetic", "--external", "b"), 0.4, "failed", "The data are synthetic"),
        (("--external", "b"), 0.4, "failed", "Checks of the data failed (cuts): believe no number"),
        (("--external", "b"), 0.4, "ok", "The interval of typhon holds 0.5"),
        (("--external", "b"), 0.6, "ok", "Look at External before you expect the same of another hospital: b."),
    ],
)  # fmt: skip
def test_the_gravest_caution_is_told(
    tmp_path: Path, words: tuple[str, ...], low: float, bad: str, said: str
) -> None:
    made = written(tmp_path, result("typhon", low=low), words=words, bad=bad)
    assert made.count("Caution: ") == 1
    assert f"Caution: {said}" in made


def test_nothing_that_was_left_out_is_said_so() -> None:
    rows = [("step", "index", "files before", "3"), ("step", "index", "files after", "3"),
            *(("step", name, "findings after", "3") for name in ("findings", "slices", "patches"))]  # fmt: skip
    table = pd.DataFrame(rows, columns=["group", "item", "statistic", "value"])
    assert list(front.left_out(table, "a")) == ["Left out of a: nothing."]
