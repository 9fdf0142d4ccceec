"""Logistic regression on intensity features and the ADC rule, with values worked out by hand."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from model.baselines import adc, intensity
from model.baselines.fit import adc_feature, fit_adc, main
from model.baselines.logistic import Measured, choose, fit, fit_any, inner_folds, medians
from model.baselines.measures import MEASURES
from model.baselines.methods import MEASURED
from model.evaluation import score
from model.evaluation.predictions import COLUMNS
from pipeline.classes import UNNAMED, Classes
from pipeline.errors import ConfigError, EmptyError
from pipeline.files import FINDING_COLUMNS, read_csv, write_csv
from pipeline.slice_store import write_slices
from pipeline.store import PATCH_SIDE
from tests.stores import make_store

CENTRE = PATCH_SIDE // 2
DISC, RING = intensity.disc_and_ring(PATCH_SIDE)


def chosen(measured: Measured, penalties: list[float]) -> float:
    """By five inner folds."""
    return choose(measured, penalties, inner_folds(measured.table, 5, 0))


def test_the_plan_knows_what_can_be_measured() -> None:
    assert set(MEASURED) == set(MEASURES)


def named(patches: np.ndarray) -> dict[str, float]:
    """The features of one patch (65, 65) by their names."""
    return dict(zip(intensity.names(["x"]), intensity.measure(patches[None, None])[0], strict=True))


class TestFeatures:
    def test_disc_and_ring_are_told_apart(self) -> None:
        patch = np.zeros((PATCH_SIDE, PATCH_SIDE), "f4")
        patch.ravel()[DISC] = 3
        patch.ravel()[RING] = 1
        found = named(patch)
        assert found["x disc mean"] == 3
        assert found["x disc sd"] == 0
        assert found["x contrast"] == 2
        disc, ring = int(DISC.sum()), int(RING.sum())
        assert (disc, ring) == (197, 600)  # lattice points within 8, and from there to 16
        assert found["x mean"] == pytest.approx((3 * disc + ring) / PATCH_SIDE**2)

    def test_moments_and_percentiles_are_those_of_scipy(self) -> None:
        patch = np.random.default_rng(0).gamma(2, size=(PATCH_SIDE, PATCH_SIDE)).astype("f4")
        found = named(patch)
        inside = patch.ravel()[DISC].astype(float)
        assert found["x skewness"] == pytest.approx(stats.skew(patch.astype(float), axis=None))
        assert found["x kurtosis"] == pytest.approx(stats.kurtosis(patch.astype(float), axis=None))
        assert found["x disc skewness"] == pytest.approx(stats.skew(inside))
        assert found["x disc p10"] == pytest.approx(np.quantile(inside, 0.1))
        assert found["x p90"] == pytest.approx(np.quantile(patch.astype(float), 0.9))

    def test_a_ramp_of_two_per_pixel_has_gradient_energy_four(self) -> None:
        ramp = np.broadcast_to(2 * np.arange(PATCH_SIDE, dtype="f4"), (PATCH_SIDE, PATCH_SIDE))
        assert named(ramp)["x gradient"] == pytest.approx(4)
        assert named(ramp)["x disc gradient"] == pytest.approx(4)

    def test_a_patch_of_one_value_has_no_moments_instead_of_nan(self) -> None:
        found = named(np.full((PATCH_SIDE, PATCH_SIDE), 5, "f4"))
        assert (found["x mean"], found["x sd"], found["x skewness"], found["x kurtosis"]) == (5, 0, 0, 0)

    def test_each_channel_has_its_own_named_columns(self) -> None:
        patches = np.stack([np.zeros((PATCH_SIDE, PATCH_SIDE)), np.ones((PATCH_SIDE, PATCH_SIDE))])[None]
        names = intensity.names(["t2", "adc"])
        values = dict(zip(names, intensity.measure(patches)[0], strict=True))
        assert (values["t2 mean"], values["adc mean"]) == (0, 1)
        assert len(names) == len(set(names)) == 2 * len(intensity.FEATURES)


def samples(labels: list[int], values: list[list[float]], views: int = 1) -> Measured:
    """``views`` equal samples of each finding; every finding is a group."""
    table = pd.DataFrame({"patient_id": map(str, range(len(labels))), "finding_id": "1", "label": labels})
    table["group_id"] = table["patient_id"]
    finding = np.repeat(np.arange(len(labels)), views)
    return Measured(np.repeat(values, views, axis=0), finding, np.tile(np.arange(views), len(labels)), table)


class TestRegression:
    def test_classes_weigh_the_same_whatever_their_number(self) -> None:
        # 30 zeros at -1, 10 ones at +1, symmetrical but for the counts: half-way stays at one half.
        measured = samples([0] * 30 + [1] * 10, [[-1.0]] * 30 + [[1.0]] * 10)
        assert fit(measured, 1.0).scores(np.array([[0.0]])) == pytest.approx(0.5, abs=1e-4)

    def test_a_stronger_penalty_gives_smaller_coefficients(self) -> None:
        rng = np.random.default_rng(0)
        measured = samples([0, 1] * 30, rng.normal(size=(60, 3)).tolist())
        sizes = [np.abs(fit(measured, penalty).coefficients).max() for penalty in (1e-4, 1e-2, 1)]
        assert sizes == sorted(sizes)

    def test_a_missing_number_counts_as_the_median_of_the_training(self) -> None:
        measured = samples([0, 0, 1, 1, 1], [[1.0], [2.0], [3.0], [4.0], [float("nan")]])
        model = fit(measured, 1.0)
        assert model.median == 2.5
        np.testing.assert_array_equal(model.scores(np.array([[np.nan]])), model.scores(np.array([[2.5]])))

    @pytest.mark.parametrize("constant", [0.0, 0.1, 7.0, -1000.1, 1e-9])
    def test_a_feature_without_spread_has_none_whatever_its_mean_is_rounded_to(self, constant: float) -> None:
        """Otherwise a new case with another value would be 1e13 standard deviations away."""
        model = fit(samples([0, 1] * 500, [[constant, 0.0], [constant, 1.0]] * 500), 1.0)
        assert model.sd.tolist() == [1.0, 0.5]

    def test_what_a_network_makes_of_a_constant_differs_by_rounding_and_is_a_constant(self) -> None:
        """7 ± 7e-6: another machine rounds otherwise, and a score must not depend on that."""
        values = np.array([[7.0, 0.0], [7.0, 1.0], [7.00001, 0.0], [6.99999, 1.0]] * 5)
        assert fit(samples([0, 1] * 10, values.astype("f4")), 1.0).sd.tolist() == [1.0, 0.5]  # type: ignore[arg-type]
        double = fit(samples([0, 1] * 10, values.tolist()), 1.0)
        assert double.sd[0] == pytest.approx(7.07e-6, rel=1e-3)  # of numbers in a table such digits are real

    def test_a_constant_feature_does_no_harm(self) -> None:
        model = fit(samples([0, 1] * 5, [[7.0, 0.0], [7.0, 1.0]] * 5), 1.0)
        assert np.isfinite(model.scores(np.array([[7.0, 0.5]]))).all()

    def test_numbers_of_single_precision_are_fitted_as_those_of_double_precision(self) -> None:
        # Far from 0, where sums of float32 lose the digits that tell the classes apart.
        rng = np.random.default_rng(0)
        labels = [0, 1] * 1000
        values = (1000 + rng.normal(size=(2000, 40)) + np.array(labels)[:, None]).astype("f4")
        single = samples(labels, values)  # type: ignore[arg-type]
        assert single.values.dtype == np.float32
        double = samples(labels, values.astype("f8").tolist())
        before = single.values.copy()
        found, expected = fit(single, 1e-3), fit(double, 1e-3)
        np.testing.assert_array_equal(found.coefficients, expected.coefficients)
        np.testing.assert_array_equal(found.scores(single.values), expected.scores(double.values))
        np.testing.assert_array_equal(single.values, before)

    def test_fits_to_choose_by_are_rough_and_the_chosen_one_is_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(0)
        values = rng.normal(size=(40, 30)).astype("f4")
        measured = replace(samples([0, 1] * 20, []), values=values)
        types: list[str] = []

        def seen(inner: Measured, penalty: float) -> object:
            types.append(inner.standardised[0].dtype.name)
            return fit(inner, penalty)

        monkeypatch.setattr("model.baselines.logistic.fit_any", seen)
        chosen(measured, [0.01, 0.1])
        assert set(types) == {"float32"}
        assert measured.standardised[0].dtype == np.float64

    @pytest.mark.parametrize("penalty", [1e-5, 1e-3, 1e-1])
    def test_a_rough_fit_is_the_fit_to_a_few_digits_and_leaves_the_numbers_alone(
        self, penalty: float
    ) -> None:
        rng = np.random.default_rng(0)
        values = (5 + rng.normal(size=(300, 80)) + np.arange(300)[:, None] % 2 / 4).astype("f4")
        values[7, 3] = np.nan
        for labels, classes in (([0, 1] * 150, UNNAMED), ([0, 1, 2] * 100, Classes(("a", "b", "c")))):
            measured = replace(samples(labels, []), values=values, classes=classes)
            expected, found = (fit_any(replace(measured, rough=rough), penalty) for rough in (False, True))
            np.testing.assert_allclose(found.scores(values), expected.scores(values), atol=1e-3)
            assert found.coefficients.dtype == np.float64
            np.testing.assert_array_equal(found.median, expected.median)
        np.testing.assert_array_equal(values, measured.values)

    @given(
        arrays("f4", st.tuples(st.integers(1, 9), st.integers(1, 4)),
               elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))),
    )  # fmt: skip
    def test_medians_are_those_of_numpy_also_of_columns_with_gaps(self, values: np.ndarray) -> None:
        values[0] = np.nan_to_num(values[0])  # no column is empty
        before = values.copy()
        np.testing.assert_array_equal(medians(values), np.nanmedian(values.astype("f8"), axis=0))
        np.testing.assert_array_equal(values, before)

    def test_a_fit_needs_three_times_the_memory_of_its_numbers_and_keeps_none(self) -> None:
        """In float64 they take twice as much; what is left is for statistics, by a part of the columns."""
        values = np.random.default_rng(0).standard_normal((400, 5000), dtype="f4")
        one = samples([0, 1] * 200, [[0.0]] * 400)
        measured = replace(one, values=values)
        tracemalloc.start()
        try:
            fit(measured, 1e-5)
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 3 * values.nbytes
        assert kept < 0.1 * values.nbytes

    def test_one_class_to_learn_from_is_refused_in_one_line(self) -> None:
        with pytest.raises(EmptyError, match="E-EMPTY: expected training findings of both classes"):
            fit(samples([1, 1, 1], [[0.0], [1.0], [2.0]]), 1.0)

    def test_the_penalty_is_chosen_on_groups_that_were_not_fitted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The only number of a finding is its own, so that who was fitted and who was scored can be told.
        measured = samples([0, 1] * 10, [[float(number)] for number in range(20)], views=2)
        scored: list[set[float]] = []

        class Spy:
            def __init__(self, inner: Measured, penalty: float) -> None:
                self.fitted, self.good = set(inner.values[:, 0]), penalty == 0.1

            def scores(self, values: np.ndarray) -> np.ndarray:
                assert not self.fitted & set(values[:, 0])
                assert len(self.fitted) == 16
                scored.append(set(values[:, 0]))
                return values[:, :1] % 2 if self.good else np.zeros((len(values), 1))

        monkeypatch.setattr("model.baselines.logistic.fit", Spy)
        assert chosen(measured, [0.01, 0.1, 1.0]) == 0.1
        assert len(scored) == 5 * 3
        assert set.union(*scored) == set(map(float, range(20)))

    def test_of_equals_the_strongest_penalty_is_chosen(self) -> None:
        measured = samples([0, 1] * 10, [[float(number % 2)] for number in range(20)])
        assert chosen(measured, [10.0, 0.1, 1.0]) == 0.1

    def test_too_few_groups_for_inner_folds_take_the_penalty_in_the_middle(self) -> None:
        assert chosen(samples([0, 0, 0, 1], [[0.0], [1.0], [2.0], [3.0]]), [0.1, 1.0, 10.0]) == 1.0


def run_logistic(folder: Path, *words: str, views: int = 3, **store: object) -> pd.DataFrame:
    path, split = make_store(folder, "a", train=16, validation=4, test=8, views=views, **store)  # type: ignore[arg-type]
    run = folder / "results/logistic/fold0/seed0"
    main(["logistic", "--stores", str(path), "--splits", str(split), "--out", str(run / "predictions.csv"),
          "--best", str(run / "best/predictions.csv"), "--run", str(run / "run.json"), *words])  # fmt: skip
    return read_csv(run / "predictions.csv")


class TestLogistic:
    def test_it_writes_what_a_run_of_a_network_writes(self, tmp_path: Path) -> None:
        table = run_logistic(tmp_path)
        run = tmp_path / "results/logistic/fold0/seed0"
        assert list(table) == COLUMNS
        assert len(table) == (4 + 8) * 3
        assert (run / "predictions.csv").read_bytes() == (run / "best/predictions.csv").read_bytes()
        about = json.loads((run / "run.json").read_text())
        assert about["device"] == "cpu"
        assert about["samples_seen"] == {
            "bootstrap": 0, "training": 48, "specialization": 0, "evaluation": 36,
        }  # fmt: skip
        assert about["trained"] == {"a": 48}
        assert len(about["model"]["coefficients"]) == len(intensity.FEATURES)
        assert set(about["versions"]) == {"python", "numpy", "scikit-learn"}

    def test_it_finds_a_bright_spot_and_is_scored_like_a_network(self, tmp_path: Path) -> None:
        run_logistic(tmp_path)
        (tmp_path / "data/a/splits").mkdir(parents=True)
        split = (tmp_path / "a.csv").rename(tmp_path / "data/a/splits/fold0.csv")
        figures = score.score("logistic", "a", [tmp_path / "results/logistic/fold0/seed0"], [split])
        assert figures["auroc"] == 1
        assert figures["device"] == "cpu"
        assert figures["samples_seen"]["training"] == 48

    def test_the_same_data_give_the_same_bytes(self, tmp_path: Path) -> None:
        run_logistic(tmp_path / "one")
        run_logistic(tmp_path / "two")
        one, two = (
            tmp_path / name / "results/logistic/fold0/seed0/predictions.csv" for name in ("one", "two")
        )
        assert one.read_bytes() == two.read_bytes()

    def test_findings_without_labels_are_scored_with_an_empty_label(self, tmp_path: Path) -> None:
        store, _ = make_store(tmp_path / "b", "new", train=3, validation=0, test=0, labelled=False)
        table = run_logistic(tmp_path, "--unlabelled", str(store), "--views", "2")
        assert table["patient_id"].tolist() == ["0000", "0000", "0001", "0001", "0002", "0002"]
        assert set(table["split"]) == {"challenge"}
        assert set(table["label"]) == {""}
        assert not (tmp_path / "results/logistic/fold0/seed0/run.json").exists()

    def test_everything_may_train(self, tmp_path: Path) -> None:
        path, split = make_store(tmp_path, "a", train=8, validation=0, test=0)
        out = tmp_path / "predictions.csv"
        main(["logistic", "--stores", str(path), "--splits", str(split), "--out", str(out)])
        assert out.read_text() == ",".join(COLUMNS) + "\n"

    def test_several_stores_are_refused(self, tmp_path: Path) -> None:
        made = [make_store(tmp_path, name) for name in ("a", "b")]
        with pytest.raises(ConfigError, match="expected that of the target, found 2 stores"):
            main(["logistic", "--stores", *(str(store) for store, _ in made),
                  "--splits", *(str(split) for _, split in made), "--out", "x"])  # fmt: skip


def write_maps(
    folder: Path, values: list[float | None], channel: str = "adc", spacing: float = 2.0
) -> tuple[Path, Path]:
    """findings.csv and slices.h5 with one map per patient: ``value`` within 5 mm of (10, 8), else 1500."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"patient_id": f"{number:04d}", "finding_id": "1", "channel": channel, "column": "10", "row": "8",
         "spacing_column_mm": str(spacing), "spacing_row_mm": str(spacing)}
        for number, value in enumerate(values)
    ]  # fmt: skip
    write_csv(folder / "findings.csv", FINDING_COLUMNS, rows)
    down, across = np.indices((20, 24))
    near = np.hypot(across - 10, down - 8) * spacing <= 5

    def slices():  # type: ignore[no-untyped-def]
        for number, value in enumerate(values):
            if value is not None:
                yield number, np.where(near, value, 1500).astype("f4")

    write_slices(folder / "slices.h5", slices(), lambda _: (0.0, 1.0), {})
    return folder / "findings.csv", folder / "slices.h5"


KEY = ("0000", "1")


class TestAdc:
    def test_the_disc_is_round_in_millimetres(self, tmp_path: Path) -> None:
        maps = adc.read_maps(*write_maps(tmp_path, [700]))
        assert adc.measure(maps, KEY, 5.0) == 700
        # 12 mm: 113 pixels, of which the 21 within 5 mm are the lowest tenth and more.
        assert adc.measure(maps, KEY, 12.0) == 700
        # 20 mm: far more than ten times as many.
        assert adc.measure(maps, KEY, 20.0) == 1500

    def test_what_was_not_computed_does_not_count(self, tmp_path: Path) -> None:
        maps = adc.read_maps(*write_maps(tmp_path, [0]))
        assert np.isnan(adc.measure(maps, KEY, 5.0))
        assert adc.measure(maps, KEY, 6.0) == 1500

    def test_a_skipped_slice_and_an_unknown_finding_have_none(self, tmp_path: Path) -> None:
        maps = adc.read_maps(*write_maps(tmp_path, [None, 800]))
        assert np.isnan(adc.measure(maps, KEY, 5.0))
        assert np.isnan(adc.measure(maps, ("0000", "2"), 5.0))

    def test_a_table_without_the_channel_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EmptyError, match="expected findings on the channel adc, found channels dwi"):
            adc.read_maps(*write_maps(tmp_path, [700], channel="dwi"))

    def test_a_lower_value_is_always_the_more_suspicious(self, caplog: pytest.LogCaptureFixture) -> None:
        right = fit_adc(samples([0, 0, 1, 1], [[1400.0], [1200.0], [800.0], [700.0]]))
        assert "all the same" not in caplog.text
        wrong = fit_adc(samples([1, 1, 0, 0], [[1400.0], [1200.0], [800.0], [700.0]]))
        assert "all the same" in caplog.text
        for model in (right, wrong):
            scores = model.scores(np.array([[500.0], [1000.0], [2000.0]]))
            assert scores[0] > scores[1] > scores[2]

    def test_the_rule_is_a_run_with_one_view_per_finding(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        # Labels alternate from 0: negatives 1200 and more, positives 800 and less, one of the test without.
        path, split = make_store(tmp_path, "a", train=8, validation=2, test=4, views=2)
        values: list[float | None] = [
            1200 + number if number % 2 == 0 else 800 - number for number in range(14)
        ]
        values[13] = None
        found, slices = write_maps(tmp_path / "maps", values)
        out = tmp_path / "predictions.csv"
        main(["adc", "--stores", str(path), "--splits", str(split), "--findings", str(found),
              "--slices", str(slices), "--out", str(out), "--run", str(tmp_path / "run.json")])  # fmt: skip
        table = read_csv(out)
        assert table["view"].tolist() == ["0"] * 6
        scores = table["score"].astype(float).tolist()
        assert [score > 0.5 for score in scores[:5]] == [False, True, False, True, False]
        assert 0.4 < scores[5] < 0.6  # the median of the training findings lies between the classes
        assert "1 of 4 findings have no ADC: they count as the median" in caplog.text
        assert json.loads((tmp_path / "run.json").read_text())["trained"] == {"a": 8}

    def test_no_training_finding_with_an_adc_is_refused_with_counts(self, tmp_path: Path) -> None:
        maps = adc.read_maps(*write_maps(tmp_path, [None, None]))
        table = pd.DataFrame({"patient_id": ["0000", "0001"], "finding_id": "1", "label": [0, 1]})
        measured = adc_feature(maps, 5.0)(table.assign(group_id=table["patient_id"]))
        with pytest.raises(EmptyError, match="expected training findings with an ADC, found none of 2"):
            fit_adc(measured)
