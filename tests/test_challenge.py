"""The challenge's CSV: every official finding once, in its order; and its score against a truth."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.evaluation.predictions import COLUMNS, PredictionsError
from papers.challenge import (
    HEADER,
    average,
    main,
    read_official,
    read_submission,
    read_truth,
    score,
    submission,
)
from pipeline.errors import (
    ColumnError,
    DuplicateFindingError,
    InputError,
    LabelError,
    RawMissingError,
    SkippedError,
)
from pipeline.files import SKIPPED_COLUMNS, write_csv

# As in the official tables: not sorted by fid, and one patient has two findings 1.
ROWS = [("ProstateX-0204", "2"), ("ProstateX-0204", "1"), ("ProstateX-0205", "1"), ("ProstateX-0205", "1")]
IDS = ["ProstateX-0204-2", "ProstateX-0204-1", "ProstateX-0205-1", "ProstateX-0205-1"]
FOUND = [("ProstateX-0204", "2"), ("ProstateX-0204", "1"), ("ProstateX-0205", "1a"), ("ProstateX-0205", "1b")]


def official_table(path: Path, rows: list[tuple[str, str]] = ROWS) -> Path:
    lines = [f"{patient},{fid},{number} 2 3,PZ" for number, (patient, fid) in enumerate(rows)]
    path.write_text("\r\n".join(["ProxID,fid,pos,zone", *lines]) + "\r\n")
    return path


def run_table(path: Path, scores: dict[tuple[str, str], list[float]]) -> Path:
    """What one run says: the scores of the views of each finding."""
    rows = [
        {"dataset": "t", "split": "challenge", "patient_id": patient, "finding_id": finding, "view": view, "score": value}
        for (patient, finding), values in scores.items()
        for view, value in enumerate(values)
    ]  # fmt: skip
    write_csv(path, COLUMNS, rows)
    return path


@pytest.fixture
def official(tmp_path: Path) -> pd.DataFrame:
    return read_official(official_table(tmp_path / "ProstateX-Findings-Test.csv"))


class TestOfficial:
    def test_ids_are_mapped_back_from_those_that_the_stores_have(self, official: pd.DataFrame) -> None:
        assert official["proxid"].tolist() == IDS
        assert list(zip(official["patient_id"], official["finding_id"], strict=True)) == FOUND

    def test_a_repeated_row_is_one_finding(self, tmp_path: Path) -> None:
        path = official_table(tmp_path / "t.csv")
        path.write_text(path.read_text() + "ProstateX-0204,1,1 2 3,PZ\n")  # the very row of above, once more
        assert len(read_official(path)) == 4

    @pytest.mark.parametrize("patient", ["=cmd|' /C calc'!A0", "ProstateX-204", "@SUM(A1)", ""])
    def test_what_is_no_id_is_refused_before_a_spreadsheet_reads_it(
        self, tmp_path: Path, patient: str
    ) -> None:
        with pytest.raises(LabelError, match="expected an id such as ProstateX-0204-1"):
            read_official(official_table(tmp_path / "t.csv", [(f'"{patient}"', "1")]))

    def test_an_empty_table_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match="expected the findings of the challenge's test, found no row"):
            read_official(official_table(tmp_path / "t.csv", []))

    def test_the_real_table_has_208_different_ids(self, shared: Path) -> None:
        table = read_official(shared / "prostatex" / "ProstateX-Findings-Test.csv")
        assert (len(table), table["proxid"].nunique(), table["proxid"].iloc[0]) == (
            208,
            208,
            "ProstateX-0204-1",
        )


class TestAverage:
    def test_views_are_averaged_first_and_then_runs(self, tmp_path: Path, official: pd.DataFrame) -> None:
        rest = {key: [0.5] for key in FOUND[1:]}
        one = run_table(tmp_path / "1.csv", {FOUND[0]: [0.0, 0.2], **rest})
        two = run_table(tmp_path / "2.csv", {FOUND[0]: [0.5], **rest})
        assert average([one, two], official).tolist() == pytest.approx([0.3, 0.5, 0.5, 0.5])

    def test_the_order_is_the_official_one_whatever_that_of_the_runs(
        self, tmp_path: Path, official: pd.DataFrame
    ) -> None:
        scores = {key: [0.1 * (number + 1)] for number, key in enumerate(FOUND)}
        run = run_table(tmp_path / "1.csv", dict(reversed(scores.items())))
        table = submission([run], official)
        assert table["proxid"].tolist() == IDS
        assert table["clinsig"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])

    def test_a_finding_that_could_not_be_cut_gets_the_median_and_is_named(
        self, tmp_path: Path, official: pd.DataFrame, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = run_table(tmp_path / "1.csv", {FOUND[0]: [0.1], FOUND[2]: [0.2], FOUND[3]: [0.9]})
        assert submission([run], official)["clinsig"].tolist() == [0.1, 0.2, 0.2, 0.9]
        assert "the median of the others: ProstateX-0204-1" in caplog.text

    def test_runs_of_other_findings_are_refused(self, tmp_path: Path, official: pd.DataFrame) -> None:
        whole = run_table(tmp_path / "1.csv", {key: [0.5] for key in FOUND})
        part = run_table(tmp_path / "2.csv", {key: [0.5] for key in FOUND[1:]})
        with pytest.raises(
            PredictionsError, match="the same findings in each run, found 1: ProstateX-0204/2"
        ):
            average([whole, part], official)
        other = run_table(
            tmp_path / "3.csv", {**{key: [0.5] for key in FOUND}, ("ProstateX-0001", "1"): [0.5]}
        )
        with pytest.raises(PredictionsError, match="challenge only, found 1: ProstateX-0001/1"):
            average([other], official)

    @pytest.mark.parametrize("value", ["1.5", "nan", "x", "-0.1"])
    def test_what_is_no_probability_is_refused(
        self, tmp_path: Path, official: pd.DataFrame, value: str
    ) -> None:
        path = run_table(tmp_path / "1.csv", {key: [0.5] for key in FOUND})
        path.write_text(path.read_text().replace("0.5", value, 1))
        with pytest.raises(PredictionsError, match=r"expected scores in \[0, 1\]"):
            average([path], official)

    def test_a_view_twice_is_refused(self, tmp_path: Path, official: pd.DataFrame) -> None:
        path = run_table(tmp_path / "1.csv", {key: [0.5] for key in FOUND})
        path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
        with pytest.raises(PredictionsError, match="expected each view once"):
            average([path], official)


class TestScore:
    predicted = pd.DataFrame({"proxid": IDS, "clinsig": [0.1, 0.8, 0.3, 0.9]})

    def test_pairs_are_counted_by_hand(self) -> None:
        # Positives .8 and .3, negatives .1 and .9: .8 and .3 beat .1 alone: 2 of 4.
        truth = pd.DataFrame({"proxid": IDS, "label": [0, 1, 1, 0]})
        found = score(self.predicted, truth)
        assert found["auroc"] == 0.5
        assert (found["findings"], found["positives"], found["patients"]) == (4, 2, 2)
        low, high = found["ci95"]
        assert low < 0.5 < high
        assert found["ci95_kind"] == "logit"

    def test_ids_that_repeat_are_matched_in_their_order(self) -> None:
        # ProstateX-0205-1 is benign first (.3), then malignant (.9).
        truth = pd.DataFrame({"proxid": [IDS[2], IDS[0], IDS[3], IDS[1]], "label": [0, 0, 1, 1]})
        assert score(self.predicted, truth)["auroc"] == 1
        with pytest.raises(DuplicateFindingError, match="expected 2, found 1 rows of ProstateX-0205-1"):
            score(self.predicted, truth.iloc[1:])

    def test_findings_of_unknown_truth_are_counted_and_those_not_asked_for_ignored(self) -> None:
        truth = pd.DataFrame({"proxid": [*IDS[:2], "ProstateX-0001-1"], "label": [0, 1, 1]})
        found = score(self.predicted, truth)
        assert (found["findings"], found["without_truth"], found["auroc"]) == (2, 2, 1.0)

    def test_one_class_has_no_auroc_but_a_reason(self) -> None:
        found = score(self.predicted, pd.DataFrame({"proxid": IDS, "label": 0}))
        assert found["auroc"] is None
        assert found["auroc_reason"] == found["ci95_reason"] == "no positive finding among 4"
        json.dumps(found, allow_nan=False)

    def test_the_interval_lies_around_it(self) -> None:
        rng = np.random.default_rng(0)
        ids = [f"ProstateX-{patient:04d}-{fid}" for patient in range(20) for fid in (1, 2)]
        labels = np.tile([0, 1], 20)
        found = score(
            pd.DataFrame({"proxid": ids, "clinsig": 0.5 + 0.2 * labels + 0.1 * rng.normal(size=40)}),
            pd.DataFrame({"proxid": ids, "label": labels}),
        )
        assert found["ci95"][0] < found["auroc"] < found["ci95"][1]
        assert found["bootstrap95"][0] < found["auroc"] < found["bootstrap95"][1]
        assert (found["patients"], found["ci95_kind"]) == (20, "logit")


@pytest.mark.parametrize(
    "text",
    [
        "ProxID,fid,pos,ClinSig\nProstateX-0204,2,x,TRUE\nProstateX-0204,1,x,FALSE\n",
        "proxid,clinsig\nProstateX-0204-2,1\nProstateX-0204-1,0\n",
        "ProxID;fid;ClinSig\r\nProstateX-0204;2;True\r\nProstateX-0204;1;False\r\n",
    ],
)
def test_the_truth_may_be_written_in_either_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = read_truth(tmp_path / "t.csv")
    assert list(table.itertuples(index=False, name=None)) == [
        ("ProstateX-0204-2", 1),
        ("ProstateX-0204-1", 0),
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("id,label\na,1\n", ColumnError),
        ("proxid,clinsig\n=1+1,1\n", LabelError),
        ("proxid,clinsig\nProstateX-0204-1,maybe\n", LabelError),
    ],
)
def test_another_truth_is_refused(tmp_path: Path, text: str, error: type[InputError]) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error):
        read_truth(tmp_path / "t.csv")
    with pytest.raises(RawMissingError, match="expected the truth of the challenge"):
        read_truth(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("clinsig,proxid\n0.5,ProstateX-0204-1\n", ColumnError, "expected proxid,clinsig"),
        ("proxid,clinsig\nProstateX-0204-1,1.2\n", LabelError, r"probabilities in \[0, 1\]"),
        ("proxid,clinsig\nProstateX-0204-1,\n", LabelError, "expected a number"),
        ("proxid,clinsig\n+1,0.5\n", LabelError, "an id such as"),
    ],
)
def test_an_edited_csv_is_checked_again(
    tmp_path: Path, text: str, error: type[InputError], message: str
) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(error, match=message):
        read_submission(tmp_path / "c.csv")


class TestCommand:
    @pytest.fixture
    def words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        official_table(tmp_path / "ProstateX-Findings-Test.csv")
        monkeypatch.setattr("papers.challenge.documents", lambda _: {"ProstateX-Findings-Test.csv": "x"})
        skipped = {"kind": "failed", "patient_id": "ProstateX-0204", "finding_id": "1", "code": "E-IMG-CONST"}
        write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, [skipped])
        run = run_table(tmp_path / "1.csv", {key: [1e-7] for key in FOUND if key != FOUND[1]})
        return ["write", "--runs", str(run), "--index", "index.parquet", "--raw", str(tmp_path),
                "--skipped", str(tmp_path / "skipped.csv"), "--out", str(tmp_path / "c.csv")]  # fmt: skip

    def test_small_numbers_are_written_without_an_exponent(self, words: list[str], tmp_path: Path) -> None:
        main([*words, "--max-skipped", "1"])
        assert (tmp_path / "c.csv").read_text() == "\n".join(
            [",".join(HEADER), *(f"{name},0.0000001" for name in IDS), ""]
        )
        assert len(read_submission(tmp_path / "c.csv")) == 4

    def test_more_failures_than_are_put_up_with_write_nothing(self, words: list[str], tmp_path: Path) -> None:
        with pytest.raises(SkippedError, match="1 × E-IMG-CONST"):
            main(words)
        assert not (tmp_path / "c.csv").exists()

    def test_the_score_stands_beside_the_published_ones(self, tmp_path: Path) -> None:
        (tmp_path / "c.csv").write_text("proxid,clinsig\nProstateX-0204-1,0.9\nProstateX-0205-1,0.1\n")
        (tmp_path / "t.csv").write_text("proxid,clinsig\nProstateX-0204-1,1\nProstateX-0205-1,0\n")
        main(["score", "--method", "m", "--csv", str(tmp_path / "c.csv"), "--truth", str(tmp_path / "t.csv"),
              "--out", str(tmp_path / "m_challenge.json")])  # fmt: skip
        found = json.loads((tmp_path / "m_challenge.json").read_text())
        assert (found["method"], found["auroc"]) == ("m", 1.0)
        thesis = found["published"]["thesis, all training patients"]
        assert thesis["auroc"] == 0.76
        assert thesis["newcombe95"] == pytest.approx([0.673, 0.827], abs=1e-3)
