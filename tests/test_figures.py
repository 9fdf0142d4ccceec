import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from model.files import weights
from model.inference import batch_norm
from model.network import Description, build
from model.report import histories
from model.report.drawing import COLOUR_OF, PUBLISHED, STYLE, spread
from model.report.gradients import BROKEN, COLUMNS, chosen, draw_gradient_flow, gradient_flow, read_gradients
from model.report.gradients import main as gradients_main
from model.report.histories import moving_average, read_histories
from model.training.records import HISTORY_COLUMNS
from papers.figures import printed
from papers.figures.__main__ import main
from papers.figures.curves import plot_last_round, plot_test, plot_training
from papers.figures.metrics import best_epoch, plot_metrics
from papers.figures.multitask import plot_architecture
from papers.figures.reference import plot_reference
from papers.figures.registry import FIGURES, PHASES, drawn, wanted
from papers.figures.summary import plot_summary
from papers.replay import history, read_logs
from pipeline.errors import ConfigError, EmptyError
from pipeline.files import write_csv

SETS = ("a", "b", "c")
SEQUENCE = dict(zip(PHASES, ("a", "b", "b", "c", "c", "a", "a"), strict=True))
METHODS = {
    "classical": {"training": ("a",)},
    "transfer": {name: (SEQUENCE[name],) for name in PHASES if name.endswith("Full")},
    "hydra": {name: (dataset,) for name, dataset in SEQUENCE.items()},
    "typhon": {"training": SETS, "specialization": ("a",)},
}
EPOCHS = (10, 20, 30, 40)


def rows(phases: dict[str, tuple[str, ...]], shift: float = 0.0) -> Iterable[tuple[object, ...]]:
    """A history in which each phase has 4 validations and every visit is 8 samples; the target is a."""
    seen = dict.fromkeys(SETS, 0)
    for place, (phase, datasets) in enumerate(phases.items()):
        moved = 0.0 if phase.endswith("Frozen") else 0.1
        for number, epoch in enumerate(EPOCHS):
            for dataset in datasets:
                seen[dataset] += 8
                yield phase, epoch, dataset, "train", "loss", 0.7 - number / 10
                yield phase, epoch, dataset, "train", "samples", seen[dataset]
                for metric in ("auroc", "accuracy", "precision", "recall", "f1", "specificity"):
                    yield phase, epoch, dataset, "train", metric, 0.7 + number / 20
                    # Best at the third validation; an empty cell is an undefined metric.
                    value = (0.5, 0.6, 0.8, 0.7)[number] + shift
                    yield phase, epoch, dataset, "validation", metric, "" if metric == "precision" else value
                yield phase, epoch, dataset, "validation", "loss", 0.7
            yield phase, epoch, "a", "test", "auroc", (place + number / 4) / 10 + shift
            for split in ("train", "validation"):
                yield phase, epoch, "a", split, "reference_auroc", 0.6 + moved * number / 3 + shift


def write_run(folder: Path, method: str, seed: int) -> Path:
    run = folder / "results" / method / "fold0" / f"seed{seed}"
    columns = list(HISTORY_COLUMNS)
    table = pd.DataFrame(list(rows(METHODS[method], seed / 50)), columns=columns)
    run.mkdir(parents=True, exist_ok=True)
    table.to_csv(run / "history.csv", index=False)
    gradients().to_csv(run / "gradients.csv", index=False)
    labels = {"p": 1, "q": 1, "r": 0, "s": 0}
    scores = pd.DataFrame(
        [("a", "test", patient, "1", 0, label, 0.4 + label / 5) for patient, label in labels.items()],
        columns=["dataset", "split", "patient_id", "finding_id", "view", "label", "score"],
    )
    for name in ("predictions.csv", "best/predictions.csv"):
        (run / name).parent.mkdir(exist_ok=True)
        scores.to_csv(run / name, index=False)
    return run


def result(method: str, shift: float = 0.0) -> dict[str, Any]:
    key = {"dataset": "a", "split": "test", "state": "last"}
    values = dict.fromkeys(("accuracy", "recall", "f1", "specificity", "auroc"), 0.5 + shift)
    runs = [
        {"fold": 0, "seed": 0, **key, **values, "precision": None},
        {
            "fold": 0,
            "seed": 1,
            **key,
            **{name: value + 0.2 for name, value in values.items()},
            "precision": 0.3,
        },
        {"fold": 0, "seed": 0, **key, "split": "validation", **values, "precision": 0.9},
    ]
    return {
        "method": method, "target": "a", "state": "last", "auroc": 0.6 + shift, "runs": runs,
        "ci95": [0.4, 0.8], "ci95_kind": "logit", "corrected95": None,
        "summary": [{**key, "findings": 4, "positives": 2, "groups": 4}],
    }  # fmt: skip


def gradients(*values: tuple[float, float]) -> pd.DataFrame:
    pairs = values or ((1e-3, 1e-1), (0.0, 0.0), (1e-4, 1e-2))
    cells = [("training", "1", "6", "a", f"layer{n}.weight", *pair) for n, pair in enumerate(pairs)]
    return pd.DataFrame(cells, columns=list(COLUMNS))


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, pd.DataFrame]:
    """The histories of two runs of each method; those of the second are 0.02 higher."""
    return {
        method: read_histories([write_run(tmp_path, method, seed) / "history.csv" for seed in (0, 1)])
        for method in METHODS
    }


@pytest.fixture(scope="session")
def published(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The public logs as histories of ours."""
    logs = shared / "hydra-published"
    if not logs.is_dir():
        pytest.skip(f"no public logs at {logs}")
    folder, found = tmp_path_factory.mktemp("published"), {}
    for method, curves in read_logs(logs).items():
        write_csv(folder / f"{method}.csv", HISTORY_COLUMNS, history(curves))
        found[method] = read_histories([folder / f"{method}.csv"])
    return found


def legend(made: Figure) -> list[str]:
    return [text.get_text() for text in made.legends[0].get_texts()]


def curves(axes: Any, colour: str) -> list[tuple[list[float], list[float]]]:
    """The bold lines of a colour."""
    return [
        (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        for line in axes.lines
        if to_hex(line.get_color()) == to_hex(colour)
        and line.get_linewidth() >= 1
        and line.get_linestyle() == "-"
    ]


class TestMovingAverage:
    def test_of_one_curve_by_hand(self) -> None:
        mean, deviation = moving_average([1.0, 2.0, 4.0, 4.0], 2)
        assert mean.tolist() == [1.0, 1.5, 3.0, 4.0]
        assert deviation.tolist() == [0.0, 0.5, 1.0, 0.0]

    def test_of_two_runs_takes_all_values_in_the_window(self) -> None:
        mean, deviation = moving_average([[1.0, 3.0], [2.0, 6.0]], 2)
        assert mean.tolist() == [2.0, 3.0]
        assert deviation == pytest.approx([1.0, np.sqrt(3.5)])  # 1, 3, 2, 6: squares 4, 0, 1, 9

    def test_leaves_out_what_is_missing(self) -> None:
        assert moving_average([1.0, np.nan, 3.0], 3)[0].tolist() == [1.0, 1.0, 2.0]

    def test_longer_than_the_curve_is_the_mean_so_far(self) -> None:
        assert moving_average([2.0, 4.0, 9.0], 100)[0].tolist() == [2.0, 3.0, 5.0]

    def test_refuses_an_empty_window(self) -> None:
        with pytest.raises(ValueError, match="window of 0"):
            moving_average([1.0], 0)

    @pytest.mark.parametrize(("length", "window"), [(2000, 100), (100, 5), (30, 2), (4, 2), (1, 1)])
    def test_window_is_a_twentieth(self, length: int, window: int) -> None:
        assert histories.window_of(length) == window


class TestHistories:
    def test_steps_go_through_the_phases_in_their_order(self, tables: dict[str, pd.DataFrame]) -> None:
        table = tables["hydra"]
        assert histories.phases(table) == list(PHASES)
        first = table.groupby("phase")["step"].min()
        assert [first[name] for name in PHASES] == [0, 4, 8, 12, 16, 20, 24]
        assert set(table["run"]) == {0, 1}

    def test_share_of_training_counts_all_data_sets(self, tables: dict[str, pd.DataFrame]) -> None:
        share = histories.share_of_training(tables["typhon"])
        # Four times 24 samples of three sets, then four times 8 of the target: 128.
        assert share.tolist() == [18.75, 37.5, 56.25, 75.0, 81.25, 87.5, 93.75, 100.0]
        assert histories.samples(tables["typhon"]) == 128
        assert histories.samples(tables["typhon"], "a") == 64

    def test_spread_is_the_standard_deviation_of_the_runs(self) -> None:
        mean, deviation = spread(pd.DataFrame([[1.0, 3.0], [2.0, 2.0]]))
        assert mean.tolist() == [2.0, 2.0]
        assert deviation.tolist() == pytest.approx([np.sqrt(2.0), 0.0])
        assert spread(pd.DataFrame([[1.0]]))[1].tolist() == [0.0]

    def test_best_epoch_is_the_first_highest_of_the_mean(self, tables: dict[str, pd.DataFrame]) -> None:
        assert best_epoch(tables["classical"], "a") == (30, pytest.approx(0.81))
        assert best_epoch(tables["classical"], "nowhere") is None


class TestRegistry:
    PHASES_OF = {method: tuple(phases) for method, phases in METHODS.items()}  # noqa: RUF012

    def test_all_methods_give_all_figures(self) -> None:
        every = self.PHASES_OF | {"pretrain": ("training",)}
        assert wanted(every, follow=True) == list(FIGURES)

    def test_a_figure_whose_method_is_not_run_is_not_asked_for(self) -> None:
        assert wanted({"typhon": ("training",)}, follow=True) == ["typhon_4", "typhon_5"]
        assert wanted({"transfer": ("DS1/Full",)}, follow=True) == []

    def test_without_following_the_target_there_are_no_curves_of_it(self) -> None:
        missing = set(FIGURES) - set(wanted(self.PHASES_OF, follow=False)) - {"mormont_1"}
        assert missing == {"typhon_5", "hydra_4a", "hydra_4b", "thesis_6_11"}

    def test_two_data_sets_have_two_phases_less(self) -> None:
        names = wanted({"hydra": PHASES[:5]}, follow=True)
        assert [name for name in names if FIGURES[name].kind == "metrics"] == [
            "thesis_6_4", "thesis_6_5", "thesis_6_6", "thesis_6_7", "thesis_6_8",
        ]  # fmt: skip

    def test_methods_that_may_stand_in_a_figure_do_where_they_were_run(self) -> None:
        assert drawn("typhon_5", ["classical", "logistic", "typhon"]) == ["typhon", "classical"]


class TestMormont:
    def test_the_architecture_has_the_tasks_the_classes_and_the_samples_of_the_run(
        self, tmp_path: Path
    ) -> None:
        run, outputs = tmp_path / "results/pretrain/fold0/seed0", {"lesions": 2, "tissue": 9}
        run.mkdir(parents=True)
        network = build(outputs, Description("papers", linear=True).of(outputs))
        tables = dict.fromkeys(outputs, batch_norm.initial(network))
        weights.write(run / "model.safetensors", weights.export(network, tables), network.description)
        (run / "run.json").write_text(json.dumps({"trained": {"lesions": 300, "tissue": 100}}))
        made = plot_architecture(run)
        (axes,) = made.axes
        texts = " ".join(text.get_text() for text in axes.texts)
        for told in (
            "lesions\n2 classes, 300 samples",
            "tissue\n9 classes, 100 samples",
            "256 × 2",
            "256 × 9",
        ):
            assert told in texts
        assert axes.get_title(loc="left").startswith("2 tasks, 11 classes, 400 samples")
        # Of the batch, and of its features, three quarters are of one task.
        heights = [patch.get_height() for patch in axes.patches if isinstance(patch, Rectangle)]
        assert heights[0] / sum(heights[::2]) == pytest.approx(0.75)
        for out in ("one.png", "two.png"):
            main(["mormont_1", "--runs", str(run), "--target", "lesions", "--out", str(tmp_path / out)])
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


class TestTyphon:
    def test_training_shows_each_data_set_and_the_end_on_the_target_alone(
        self, tables: dict[str, pd.DataFrame]
    ) -> None:
        made = plot_training(tables["typhon"], "a")
        assert legend(made)[:3] == ["a, target", "b", "c"]
        assert [axes.get_title(loc="left") for axes in made.axes] == [
            "training, 40 epochs", "specialization, 40 epochs",
        ]  # fmt: skip
        assert curves(made.axes[0], "#0072B2") == [
            ([10, 20, 30, 40], pytest.approx([0.51, 0.61, 0.81, 0.71]))
        ]
        assert len(curves(made.axes[1], "#0072B2")) == 1
        assert curves(made.axes[1], "#D55E00") == [([], [])]

    def test_test_curves_run_over_the_share_of_training(self, tables: dict[str, pd.DataFrame]) -> None:
        made = plot_test({"typhon": tables["typhon"], "classical": tables["classical"]}, "a")
        ((x, y),) = curves(made.axes[0], "#CC79A7")
        assert x == [25, 50, 75, 100]
        assert y == pytest.approx([0.01, 0.035, 0.06, 0.085])
        assert legend(made) == [
            "typhon, 2 runs: 128 training samples, 64 of the target",
            "classical, 2 runs: 32 training samples, 32 of the target",
        ]

    def test_published_ends_have_the_interval_of_their_test_set(
        self, tables: dict[str, pd.DataFrame]
    ) -> None:
        beside = plot_test({"typhon": tables["typhon"]}, "a").axes[1]
        ((x, y),) = curves(beside, "#0072B2")
        assert x == [0, 0]
        assert y == pytest.approx([0.541, 0.969], abs=1e-3)
        assert [line.get_ydata()[0] for line in beside.lines if line.get_marker() == "o"] == [52 / 60]

    def test_without_test_rows_it_says_so(self, tables: dict[str, pd.DataFrame]) -> None:
        table = tables["typhon"][tables["typhon"]["split"] != "test"]
        (text,) = plot_test({"typhon": table}, "a").axes[0].texts
        assert "no test AUROC" in text.get_text()


class TestHydra:
    def test_last_round_is_the_last_on_the_target(self, tables: dict[str, pd.DataFrame]) -> None:
        made = plot_last_round({"hydra": tables["hydra"], "transfer": tables["transfer"]}, "a")
        frozen, full, border = curves(made.axes[0], "#D55E00") + [
            (list(line.get_xdata()), []) for line in made.axes[0].lines if line.get_linestyle() == ":"
        ]
        assert frozen == ([10, 20, 30, 40], pytest.approx([0.51, 0.5225, 0.5475, 0.5725]))  # of two values
        assert full[0] == [50, 60, 70, 80]
        assert full[1][0] == pytest.approx(0.61)  # nothing of the phase before
        assert border[0] == [40, 40]
        assert legend(made) == [
            "hydra, 2 runs: DS4/Frozen + DS4/Full, mean of 2 validations",
            "transfer, 2 runs: DS4/Full, mean of 2 validations",
        ]

    def test_a_method_on_the_target_alone_has_its_last_phase_as_last_round(
        self, tables: dict[str, pd.DataFrame]
    ) -> None:
        assert "hydra, 2 runs: training" in legend(plot_last_round({"hydra": tables["classical"]}, "a"))[0]

    def test_reference_has_a_column_per_phase_and_is_flat_where_frozen(
        self, tables: dict[str, pd.DataFrame]
    ) -> None:
        made = plot_reference(tables["hydra"])
        assert [axes.get_title(loc="left").split() for axes in made.axes] == [
            [phase, dataset] for phase, dataset in SEQUENCE.items()
        ]
        for axes, phase in zip(made.axes, PHASES, strict=True):
            ((x, y),) = curves(axes, COLOUR_OF["validation"])
            assert x == list(EPOCHS)
            assert (np.ptp(y) < 1e-6) == phase.endswith("Frozen")
        assert made.axes[1].spines["left"].get_linewidth() > 1  # the border
        assert legend(made) == ["ours, validation", "ours, train"]

    def test_reference_of_the_thesis_is_validation_alone(self, tables: dict[str, pd.DataFrame]) -> None:
        made = plot_reference(tables["hydra"], tables["hydra"], ["validation"])
        assert legend(made) == ["ours, validation", "published, validation"]

    def test_published_phases_are_as_wide_as_ours(self, tables: dict[str, pd.DataFrame]) -> None:
        theirs = tables["hydra"].assign(epoch=tables["hydra"]["epoch"] * 100)
        ((x, _),) = curves(plot_reference(tables["hydra"], theirs).axes[0], PUBLISHED["validation"])
        assert x == list(EPOCHS)

    def test_a_phase_that_was_not_published_has_our_curve_alone(
        self, tables: dict[str, pd.DataFrame]
    ) -> None:
        theirs = tables["hydra"][tables["hydra"]["phase"] == "DS1/Full"]
        made = plot_reference(tables["hydra"], theirs)
        assert curves(made.axes[1], PUBLISHED["validation"]) == [([], [])]
        assert len(curves(made.axes[1], COLOUR_OF["validation"])[0][0]) == 4


class TestMetrics:
    def test_every_metric_has_a_panel_with_the_best_epoch(self, tables: dict[str, pd.DataFrame]) -> None:
        made = plot_metrics(tables["hydra"], "DS2/Frozen", None, printed.BEST["DS2/Frozen"])
        titles = [axes.get_title(loc="left") for axes in made.axes]
        assert titles[:7] == [
            "AUROC",
            "cross-entropy",
            "accuracy",
            "F1",
            "precision",
            "recall",
            "specificity",
        ]
        for axes in made.axes[:7]:
            assert [30, 30] in [list(line.get_xdata()) for line in axes.lines]
        entries = [text.get_text() for text in made.axes[7].get_legend().get_texts()]
        assert entries == [
            "train", "validation", "best epoch, 30:\nvalidation AUROC 0.810",
            "thesis, epoch 594: validation\naccuracy 0.780, AUROC 0.838",
        ]  # fmt: skip

    def test_published_curves_lie_beneath_and_are_named_where_there_are_any(
        self, tables: dict[str, pd.DataFrame]
    ) -> None:
        theirs = tables["hydra"][
            (tables["hydra"]["phase"] == "DS1/Full") & (tables["hydra"]["split"] == "train")
        ]
        made = plot_metrics(tables["classical"], "training", theirs)
        assert made.axes[7].get_legend().get_texts()[-1].get_text() == "Hydra's public log, train"
        (grey,) = [line for line in made.axes[0].lines if line.get_color() == PUBLISHED["train"]]
        assert all(
            grey.zorder < line.zorder for line in made.axes[0].lines if line.get_color() == COLOUR_OF["train"]
        )


class TestGradients:
    def test_zero_is_black_and_what_is_not_finite_is_red(self) -> None:
        made = gradient_flow(gradients((1e-3, 1e-1), (0.0, 0.0), (float("nan"), float("inf"))))
        places: dict[str, list[float]] = {}
        for bar in made.axes[0].patches:
            places.setdefault(to_hex(bar.get_facecolor()), []).append(
                round(bar.get_x() + bar.get_width() / 2)
            )
        assert places["#000000"] == [1]
        assert places[BROKEN.lower()] == [2]
        assert [label.get_text() for label in made.axes[0].get_xticklabels()] == [
            "layer0.weight", "layer1.weight", "layer2.weight",
        ]  # fmt: skip

    def test_bars_end_at_the_mean_and_the_largest(self) -> None:
        made = gradient_flow(gradients((1e-3, 1e-1), (1e-4, 1e-2)))
        tops = [bar.get_y() + bar.get_height() for bar in made.axes[0].patches]
        assert tops == pytest.approx([1e-1, 1e-2, 1e-3, 1e-4])
        assert made.axes[0].get_yscale() == "log"

    def test_the_scale_is_in_plain_numbers(self) -> None:
        with mpl.rc_context(STYLE):
            made = gradient_flow(gradients((1e-3, 1e-1), (1e-4, 1e-2)))
            made.draw_without_rendering()
        told = [label.get_text() for label in made.axes[0].get_yticklabels(which="both")]
        assert {"0.1", "0.01", "0.001"} <= set(told)
        assert not any("$" in text for text in told)

    def test_each_phase_and_data_set_has_a_panel(self) -> None:
        table = pd.concat([gradients(), gradients().assign(dataset="b"), gradients().assign(phase="next")])
        assert [axes.get_title(loc="left") for axes in gradient_flow(table).axes] == [
            "training, epoch 1, batch 6, a", "training, epoch 1, batch 6, b", "next, epoch 1, batch 6, a",
        ]  # fmt: skip

    def test_of_a_loss_that_is_no_number_is_drawn_without_the_workflow(self, tmp_path: Path) -> None:
        draw_gradient_flow(gradients((float("nan"), float("nan"))), tmp_path / "gradients.png")
        with Image.open(tmp_path / "gradients.png") as image:
            assert min(image.size) > 300

    def test_a_step_is_drawn_by_its_name(self, tmp_path: Path) -> None:
        table = pd.concat(
            [gradients(), gradients().assign(batch="7"), gradients().assign(phase="DS1/Full", epoch="2")]
        )
        table.to_csv(tmp_path / "gradients.csv", index=False)
        read = read_gradients(tmp_path / "gradients.csv")
        for steps, count in ([], 9), (["training/1/7"], 3), (["training/1/6", "DS1/Full/2/6"], 6):
            assert len(chosen(read, steps, tmp_path)) == count
        gradients_main(
            [
                "--gradients",
                f"{tmp_path}/gradients.csv",
                "--step",
                "training/1/7",
                "--out",
                f"{tmp_path}/g.png",
            ]
        )
        with Image.open(tmp_path / "g.png") as image:
            assert min(image.size) > 300
        with pytest.raises(EmptyError) as caught:
            chosen(read, ["training/3/1"], Path("gradients.csv"))
        assert str(caught.value) == (
            "E-EMPTY gradients.csv: expected step training/3/1, found training/1/6, training/1/7, DS1/Full/2/6; "
            "name it in evaluation/gradients of the config, and train again"
        )

    def test_a_run_that_recorded_no_step_is_one_line(self) -> None:
        with pytest.raises(EmptyError, match="expected a recorded step, found none"):
            chosen(gradients()[:0], [], Path("g.csv"))

    def test_without_rows_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no gradients"):
            gradient_flow(gradients()[:0])


def test_summary_has_the_thesis_beside_the_means_of_our_runs() -> None:
    made = plot_summary(result("classical"), result("hydra", 0.1))
    heights = np.reshape([bar.get_height() for bar in made.axes[0].patches], (4, 6))
    assert heights[0].tolist() == [0.6842, 0.3333, 0.5, 0.4, 0.7333, 41 / 60]
    assert heights[2].tolist() == [0.7368, 0.4286, 0.75, 0.5454, 0.7333, 46 / 60]
    assert heights[1] == pytest.approx([0.6, 0.3, 0.6, 0.6, 0.6, 0.6])  # precision of one run is undefined
    assert heights[3] == pytest.approx([0.7, 0.3, 0.7, 0.7, 0.7, 0.7])
    assert legend(made)[:4] == [
        "thesis, before transfer", "ours, classical", "thesis, after transfer", "ours, hydra",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", {figure.kind: name for name, figure in FIGURES.items() if not figure.of_any_data}.values()
)
def test_each_kind_of_figure_is_drawn_and_twice_the_same(name: str, tmp_path: Path) -> None:
    runs = [str(write_run(tmp_path, method, seed)) for method in METHODS for seed in (0, 1)]
    results = []
    for method in ("classical", "hydra"):
        results.append(str(tmp_path / f"{method}_auc.json"))
        Path(results[-1]).write_text(json.dumps(result(method)))
    beneath = str(tmp_path / "results/hydra/fold0/seed0/history.csv")
    for out in ("one.png", "two.png"):
        main([name, "--runs", *runs, "--results", *results, "--published", beneath, "--target", "a",
              "--out", str(tmp_path / out)])  # fmt: skip
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert min(image.size) > 400
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 20  # not blank


def test_a_figure_without_its_method_is_refused_by_name(tmp_path: Path) -> None:
    run = str(write_run(tmp_path, "typhon", 0))
    with pytest.raises(ConfigError, match="none of hydra"):
        main(["hydra_4b", "--runs", run, "--target", "a", "--out", str(tmp_path / "x.png")])


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("papers.figures.__main__", ("torch", "matplotlib.pyplot")),
        ("papers.figures.registry", ("numpy", "pandas", "matplotlib")),
    ],
)
def test_figures_need_no_torch_and_the_snakefile_no_figures(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; sys.exit(bool(set({absent}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestPublished:
    """The public logs through our figures, as if they were ours."""

    def test_hydras_frozen_phases_are_flat_and_its_first_is_best_at_527(
        self, published: dict[str, pd.DataFrame]
    ) -> None:
        made = plot_reference(published["hydra"])
        drawn_curves = {
            phase: np.array(curves(axes, COLOUR_OF["validation"])[0])
            for axes, phase in zip(made.axes, PHASES, strict=True)
        }
        for phase, (_, values) in drawn_curves.items():
            assert (np.ptp(values) < 1e-6) == phase.endswith("Frozen")
        epochs, values = drawn_curves["DS1/Full"]
        assert len(values) == 2000
        assert epochs[values.argmax()] == 527
        assert values.max() == pytest.approx(0.7334, abs=5e-5)
        ends = {phase: round(float(values[-1]), 4) for phase, (_, values) in drawn_curves.items()}
        assert ends == {
            "DS1/Full": 0.6590, "DS2/Frozen": 0.7345, "DS2/Full": 0.7297, "DS3/Frozen": 0.6264,
            "DS3/Full": 0.6723, "DS4/Frozen": 0.7578, "DS4/Full": 0.7603,
        }  # fmt: skip

    def test_transfer_leaves_the_reference_behind(self, published: dict[str, pd.DataFrame]) -> None:
        made = plot_reference(published["transfer"])
        last = [round(curves(axes, COLOUR_OF["validation"])[0][1][-1], 4) for axes in made.axes]
        assert last == [0.6640, 0.3826, 0.5963, 0.6614]

    @pytest.mark.parametrize(
        ("phase", "first", "last"),
        [
            ("DS1/Full", 0.5635, 0.7387), ("DS2/Frozen", 0.5249, 0.8184), ("DS2/Full", 0.7878, 0.9682),
            ("DS3/Frozen", 0.6002, 0.7031), ("DS3/Full", 0.6787, 0.9010), ("DS4/Frozen", 0.6350, 0.6681),
            ("DS4/Full", 0.6876, 0.7297),
        ],
    )  # fmt: skip
    def test_training_curves(
        self, published: dict[str, pd.DataFrame], phase: str, first: float, last: float
    ) -> None:
        made = plot_metrics(published["hydra"], phase)
        ((_, values),) = curves(made.axes[0], COLOUR_OF["train"])
        assert (values[0], values[-1]) == (pytest.approx(first, abs=5e-5), pytest.approx(last, abs=5e-5))

    def test_lies_beneath_ours(
        self, published: dict[str, pd.DataFrame], tables: dict[str, pd.DataFrame]
    ) -> None:
        made = plot_reference(tables["hydra"], published["hydra"])
        for axes in made.axes:
            ((x, _),) = curves(axes, PUBLISHED["validation"])
            assert len(x) == 2000
            assert x[-1] == pytest.approx(40)
