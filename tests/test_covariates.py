"""What is known without an image, alone and beside a probe: how columns become numbers, and whose scores count."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.baselines import covariates
from model.baselines.covariates import Fitter, cells_of, column_of
from model.baselines.logistic import Measured
from model.baselines.methods import COVARIATES
from pipeline.classes import UNNAMED
from pipeline.errors import ConfigError, EmptyError
from pipeline.files import read_csv, sha256, write_csv
from pipeline.readers.index import as_table
from pipeline.store import read_info, write_embeddings
from tests.stores import make_store
from workflow.config import checked
from workflow.config.agreement import contradictions
from workflow.plan import baselines, training


class TestColumns:
    def test_numbers_stay_numbers_and_what_lacks_one_is_told(self) -> None:
        column = column_of("age", pd.Series(["40", "", "60.5"]))
        assert (column.names, column.missing) == (["age", "age (unknown)"], 1)
        np.testing.assert_array_equal(column.encode(pd.Series(["50", ""])), [[50, 0], [np.nan, 1]])

    def test_numbers_that_nobody_lacks_in_training_count_as_the_median_later(self) -> None:
        column = column_of("age", pd.Series(["40", "60"]))
        np.testing.assert_array_equal(column.encode(pd.Series([""])), [[np.nan]])

    def test_words_are_a_number_each_a_missing_one_too_and_a_new_one_is_none_of_them(self) -> None:
        column = column_of("sex", pd.Series(["m", "f", "", "f"]))
        assert column.names == ["sex (unknown)", "sex f", "sex m"]
        np.testing.assert_array_equal(
            column.encode(pd.Series(["f", "", "x"])), [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
        )

    def test_a_column_of_numbers_and_words_is_of_words(self) -> None:
        assert column_of("grade", pd.Series(["1", "2", "2b"])).levels == ("1", "2", "2b")

    def test_a_column_without_a_value_says_nothing(self) -> None:
        with pytest.raises(
            EmptyError, match="covariates/columns/age: expected training findings with a value"
        ):
            column_of("age", pd.Series(["", ""]))

    def test_unknown_columns_and_the_label_are_refused(self) -> None:
        every = pd.DataFrame({"patient_id": ["a"], "finding_id": ["1"], "age": ["7"], "label": ["1"]})
        with pytest.raises(
            ConfigError, match=r"expected columns among age, label, found sex; correct the name"
        ):
            cells_of(every, ["sex"])
        with pytest.raises(ConfigError, match="expected columns that are not the label, found label"):
            cells_of(every, ["label"])


def findings(labels: list[int]) -> pd.DataFrame:
    names = [f"{number:02d}" for number in range(len(labels))]
    return pd.DataFrame(
        {"patient_id": names, "finding_id": "1", "group_id": names, "label": labels, "views": 1}
    )


class TestBesideAProbe:
    def fitter(self, table: pd.DataFrame, age: list[float], image: list[float]) -> Fitter:
        seen = dict(zip(table["patient_id"], image, strict=True))

        def measure(some: pd.DataFrame) -> Measured:
            values = np.array([[seen[name]] for name in some["patient_id"]])
            count = np.arange(len(some))
            return Measured(values, count, 0 * count, some)

        cells = table[["patient_id", "finding_id"]].assign(age=[str(one) for one in age])
        return Fitter(cells, ["age"], UNNAMED, measure, [1.0], [0.1], 5, 0)

    def test_an_image_that_knows_training_findings_by_heart_does_not_drown_what_is_true(self) -> None:
        """Each image is unlike all others, as of a network that overfits: on inner folds it says nothing."""
        labels = [0, 1] * 15
        table = findings(labels)
        noise = np.random.default_rng(1).normal(size=30)
        age = [50.0 + 20 * label + number % 7 for number, label in enumerate(labels)]
        fitter = self.fitter(table, age, list(noise))
        joint = fitter.fit(table)
        image, own = joint.model.coefficients
        assert abs(image) < own / 4
        scores, _ = fitter.score(joint, table)
        assert ((scores > 0.5) == (np.array(labels) == 1)).all()

    def test_both_add_up_where_both_know_something(self) -> None:
        rng = np.random.default_rng(0)
        labels = [0, 1] * 30
        age, image = (list(np.array(labels) + rng.normal(size=60)) for _ in range(2))
        joint = self.fitter(table := findings(labels), age, image).fit(table)
        assert (joint.model.coefficients > 0.3).all()
        assert set(joint.penalties) == {"image", "covariates"}

    def test_too_few_groups_for_inner_folds_are_refused(self) -> None:
        table = findings([0, 0, 0, 1])
        with pytest.raises(EmptyError, match="expected more training groups, found groups of a class"):
            self.fitter(table, [1, 2, 3, 4], [1, 2, 3, 4]).fit(table)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Flags of a run on noise whose patients' age tells the label, and sex is unknown of a few."""
    store, split = make_store(tmp_path, "a", train=16, validation=6, test=8, views=2, signal=0.0)
    table = read_csv(split)
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(table.to_dict("records")):
        rows.append({"case": row["patient_id"], "age": 40 + 30 * int(row["label"]) + number % 5,
                     "sex": "" if number % 5 == 0 else "mf"[number % 2]})  # fmt: skip
    write_csv(tmp_path / "clinical.csv", ("case", "age", "sex"), rows)
    found = table[["patient_id", "finding_id"]].assign(
        file=table["patient_id"] + ".png", label=table["label"]
    )
    write_csv(tmp_path / "findings.csv", list(found), found.to_dict("records"))
    as_table([{"file": file, "format": "image"} for file in found["file"]]).to_parquet(
        tmp_path / "index.parquet"
    )
    run = tmp_path / "results/covariates/fold0/seed0"
    return ["--stores", str(store), "--splits", str(split), "--findings", str(tmp_path / "findings.csv"),
            "--index", str(tmp_path / "index.parquet"), "--table", str(tmp_path / "clinical.csv"),
            "--names", '{"patient_id": "case"}', "--columns", "age", "sex", "--out", str(run / "predictions.csv"),
            "--best", str(run / "best/predictions.csv"), "--run", str(run / "run.json")]  # fmt: skip


def test_a_run_writes_what_other_runs_write_and_says_what_was_missing(
    words: list[str], tmp_path: Path
) -> None:
    covariates.main(words)
    run = tmp_path / "results/covariates/fold0/seed0"
    table = read_csv(run / "predictions.csv")
    assert (run / "predictions.csv").read_bytes() == (run / "best/predictions.csv").read_bytes()
    assert table["split"].tolist() == ["validation"] * 6 + ["test"] * 8
    assert set(table["view"]) == {"0"}
    assert ((table["score"].astype(float) > 0.5) == (table["label"] == "1")).all()
    about = json.loads((run / "run.json").read_text())
    # Findings 0, 5, 10, 15 of training and 20 of validation.
    assert about["model"]["missing"] == {"sex": 5}
    assert set(about["model"]["coefficients"]) == {"age", "sex (unknown)", "sex f", "sex m"}
    assert about["trained"] == {"a": 22}


def test_decimal_commas_give_the_scores_of_decimal_points(
    words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictions, table = (
        tmp_path / "results/covariates/fold0/seed0/predictions.csv",
        tmp_path / "clinical.csv",
    )
    rows, made = read_csv(table), {}
    for decimal in ".,":
        table.write_text(
            "\n".join(
                ["case;age;sex", *(f"{row.case};{row.age}{decimal}5;{row.sex}" for row in rows.itertuples())]
            )
        )
        covariates.main(words)
        made[decimal] = predictions.read_bytes()
    assert made["."] == made[","]
    assert "counts as words" not in caplog.text
    table.write_text(table.read_text().replace("40,5", "young", 1))
    covariates.main(words)
    assert caplog.text.count("age counts as words because of 'young', but 21 of 22 cells are numbers") == 1


def test_beside_a_probe_the_image_is_one_number_more(words: list[str], tmp_path: Path) -> None:
    info = read_info(tmp_path / "a.h5")
    features = np.random.default_rng(0).normal(size=(len(info.findings), 2, 5)).astype("f4")
    about = {"store": sha256(info.path), "network": "none", "weights_sha256": "none"}
    write_embeddings(tmp_path / "e.h5", features, features.shape, about)
    covariates.main([*words, "--embeddings", str(tmp_path / "e.h5")])
    found = json.loads((tmp_path / "results/covariates/fold0/seed0/run.json").read_text())["model"]
    assert set(found["coefficients"]) == {"image label 1", "age", "sex (unknown)", "sex f", "sex m"}
    assert found["coefficients"]["age"] > abs(found["coefficients"]["image label 1"])
    assert set(found["penalties"]) == {"image", "covariates"}


def test_validation_is_scored_with_the_penalties_of_the_fit_that_scores_the_test(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = tmp_path / "results/covariates/fold0/seed0/predictions.csv"
    covariates.main([*words, "--penalties", "1"])
    expected = predictions.read_bytes()
    monkeypatch.setattr(covariates, "choose", lambda some, *_: 1e-4 if len(some.table) == 16 else 1.0)
    covariates.main(words)
    assert predictions.read_bytes() == expected


def test_methods_that_learn_from_columns_need_some_and_no_challenge() -> None:
    own = {"datasets": ["a"], "target": "a", "collections": {"a": {"kind": "table", "table": "t.csv"}}}
    with pytest.raises(
        ConfigError, match="E-CONFIG covariates/columns: expected columns for covariates to learn"
    ):
        checked({**own, "methods": ["covariates"]})
    mine = checked({**own, "methods": [*COVARIATES], "covariates": {"columns": ["age", "slice thickness"]}})
    assert baselines.covariates_options(mine, "covariates") == (
        "--columns age 'slice thickness' --names '{}' --penalties 0.01 0.1 1 10 --folds 5"
    )
    assert "--image-penalties 1e-05 0.0001" in baselines.covariates_options(mine, "probe_covariates")
    assert baselines.files(mine, "covariates", "0", "0") == {}
    assert baselines.files(mine, "probe_covariates", "0", "0") == {
        "embeddings": "<data>/a/embeddings/lite0.h5"
    }
    assert training.phases(mine, "covariates") == []
    told = [str(problem) for problem in contradictions(mine | {"challenge": "late"})]
    assert any(
        "methods that need nothing but images, for a challenge, found covariates" in line for line in told
    )
