"""What an experiment is expected to take; values by hand, from costs of round numbers."""

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from tests.test_config import CONFIG
from workflow import estimate
from workflow.check import expected
from workflow.config import checked
from workflow.estimate import Data, StepCost, least, network, probe, steps

ROUND = {"job": 1.0, "network job": 2.0, "page": 3.0, "fit": 1e-6, "fit of measures": 1e-4, "file": 0.1, "MB": 0.2, "cut view": 0.01,
         "measured view": 0.001}  # fmt: skip
OWN = {"kind": "table", "table": "t.csv"}
KNOWN = Data(findings=100, seconds=50.0, read_mb=7.0, cut_mb=3.0, files=100, raw_mb=10.0)


@pytest.fixture(autouse=True)
def _costs(monkeypatch):
    monkeypatch.setattr(estimate, "COSTS", ROUND)
    monkeypatch.setattr(
        estimate, "network", lambda name, _channels, _side: None if "/" in name else (0.001, 0.01)
    )


def of(data=KNOWN, pace=1.0, **changes):
    config = {"datasets": ["a"], "target": "a", "collections": {"a": OWN}, "seeds": [0], "views": 20, "majority_views": 10,
              "split": {"kind": "repeats", "n": 3}} | changes  # fmt: skip
    config = checked({**CONFIG, **config})
    return {step.name: step for step in steps(config, {"a": data}, pace)}


def test_reading_takes_what_samples_took_and_a_job_for_each_file_of_the_data_set():
    made = of(methods=["logistic"])
    # index, findings, slices, patches, skipped; three splits and three cards
    assert made["read, cut and split a"] == StepCost("read, cut and split a", 11, 50 + 11, 10.0)
    assert made["fit logistic"] == StepCost("fit logistic", 4, 3 * 2 + 1, 6.0)
    assert of(pace=2, methods=["logistic"])["read, cut and split a"].seconds == 50 + 22, (
        "samples are of this machine"
    )


def test_series_that_no_sample_was_cut_of_count_by_files_and_size():
    series = Data(findings=100, seconds=None, read_mb=None, cut_mb=3.0, files=40, raw_mb=10.0)
    made = of(series, methods=["logistic"])["read, cut and split a"]
    assert made.seconds == pytest.approx(40 * 0.1 + 10 * 0.2 + 100 * 20 * 0.01 + 11)
    assert made.megabytes is None


def test_auto_looks_with_each_encoder_measures_and_chooses_in_each_run():
    made = of(methods=["auto"])
    for name in ("lite0-layers", "lite0-96"):
        assert made[f"look at patches with {name}"].seconds == pytest.approx(2 + 100 * 16 * 0.001)
    assert made["look at patches with lite0-layers"].megabytes == pytest.approx(100 * 16 * 4960 * 4 / 1e6)
    assert made["measure radiomics and intensity"].seconds == pytest.approx(2 + 100 * 20 * 0.001)
    # 80 findings with 10 views. Four learners on 4/5 of them five times, and on 2/3 of that fifteen times, so
    # 4 · (4 + 8) fits of all, and twice five in float64; ten learners of radiomics, seven of intensities
    fits = 80 * 10 * (58 * (4960 + 1280) * 1e-6 + (12 * (10 + 7) + 20) * 1e-4)
    assert made["fit auto"].seconds == pytest.approx(3 * (2 + fits) + 1)


@pytest.mark.parametrize(
    ("method", "encoder", "fit", "measured"),
    [
        ("probe", "lite0", (4 * 4 + 10) * 1280e-6, None),
        ("probe_covariates", "lite0", (4 * 4 + 10) * 1280e-6, None),
        ("probe_svm", "lite0", (12 * 1 + 10) * 1280e-6, None),
        ("radiomics", None, (12 * 10 + 10) * 1e-4, "measure radiomics"),
        ("logistic", None, 0, None),
    ],
)
def test_what_is_fitted_counts_with_its_features_and_learners(method, encoder, fit, measured):
    made = of(methods=[method], covariates={"columns": ["age"], "table": "t.csv"})
    assert made[f"fit {method}"].seconds == pytest.approx(3 * (2 + 80 * 10 * fit) + 1)
    assert {name for name in made if "look" in name or "measure" in name} == {
        name for name in (encoder and f"look at patches with {encoder}", measured) if name
    }


def test_fits_on_all_layers_take_as_much_longer_as_there_are_more_features():
    wide = {"wide": {"method": "probe", "hyperparameters": {"probe": {"encoder": "lite0-layers"}}}}
    made = of(methods=["probe", "wide"], variants=wide)
    assert (made["fit wide"].seconds - 7) / (made["fit probe"].seconds - 7) == pytest.approx(4960 / 1280)


def test_features_are_as_many_as_the_network_has():
    """ResNet50 ends in 2,048; its stem has 64 channels, its blocks 3 × 256, 4 × 512, 6 × 1,024 and 2 × 2,048."""
    encoders = {"lite0": {"network": "resnet50", "weights": "random", "features": "layers"}}
    made = of(methods=["probe"], encoders=encoders)
    count = 2048 + 2 * (64 + 3 * 256 + 4 * 512 + 6 * 1024 + 2 * 2048)
    assert made["look at patches with lite0"].megabytes == pytest.approx(100 * 16 * count * 4 / 1e6)
    assert made["fit probe"].seconds == pytest.approx(3 * (2 + 80 * 10 * (4 * 4 + 10) * count * 1e-6) + 1)


def test_an_encoder_looks_at_each_of_two_channels_and_at_colours_together(tmp_path):
    alone = of(methods=["probe"])["look at patches with lite0"]
    several = {"a": OWN | {"channels": ["t2", "adc"]}}
    two = of(methods=["probe"], collections=several)["look at patches with lite0"]
    colours = of(methods=["probe"], collections={"a": OWN | {"colour": "rgb"}})["look at patches with lite0"]
    assert (two.megabytes, two.seconds - 2) == (2 * alone.megabytes, 2 * (alone.seconds - 2))
    assert (colours.megabytes, colours.seconds) == (alone.megabytes, alone.seconds)
    torch.save({"_conv_stem.weight": torch.zeros(32, 2, 3, 3)}, tmp_path / "two.pth")
    own = {"lite0": {"weights": str(tmp_path / "two.pth")}}  # learned on both
    both = of(methods=["probe"], collections=several, encoders=own)["look at patches with lite0"]
    assert (both.megabytes, both.seconds) == (alone.megabytes, alone.seconds)


def test_a_variant_looks_with_its_own_encoder_and_that_of_runs_with_each():
    encoders = {"tuned": {"weights": "results/finetune", "side": None}}
    own = {
        name: {"method": "probe", "hyperparameters": {"probe": {"encoder": name}}}
        for name in ("lite0-96", "tuned")
    }
    names = {"fixed": own["lite0-96"], "moved": own["tuned"]}
    made = of(methods=["finetune", "fixed", "moved"], encoders=encoders, variants=names)
    looks = {name: step for name, step in made.items() if name.startswith("look")}
    assert {name: (step.jobs, step.seconds) for name, step in looks.items()} == {
        "look at patches with lite0-96": (1, pytest.approx(2 + 100 * 16 * 0.001)),
        "look at patches with tuned": (3, pytest.approx(3 * (2 + 100 * 16 * 0.001))),
    }
    assert looks["look at patches with tuned"].megabytes == pytest.approx(3 * 100 * 16 * 1280 * 4 / 1e6)


def test_training_counts_samples_and_views_that_are_scored():
    training = {"epochs": 200, "batches": 2, "batch_size": 8, "learning_rate": 1e-3}
    made = of(
        methods=["classical"],
        hyperparameters={"classical": {"training": training}},
        evaluation={"every": 100},
    )
    # 200 × 2 × 8 samples; 100 findings × .4 × 11 views and 256 for batch norm, at two validations and for two states
    assert made["train and score classical"].seconds == pytest.approx(
        3 * (4 + 3200 * 0.01 + (440 + 256) * 4 * 0.001) + 1
    )
    # 200 candidates on 20 validation findings, and 256 for batch norm
    assert made["guess a start for classical"].seconds == pytest.approx(3 * (2 + 200 * 276 * 0.001))


def test_what_nobody_knows_is_said():
    unknown = Data(findings=None, seconds=None, read_mb=None, cut_mb=None)
    made = of(unknown, methods=["classical", "probe"])
    assert {name for name, step in made.items() if step.seconds is None} == {
        "read, cut and split a", "look at patches with lite0", "fit probe", "train and score classical",
        "guess a start for classical",
    }  # fmt: skip
    text = expected([*made.values()], 2)
    assert "if nothing else runs. Steps that have no minutes above come on top." in text


def test_the_table_adds_up():
    text = expected([StepCost("read", 2, 60.0, 5.0), StepCost("train", 1, 600.0, 20.0)], 4)
    assert text.splitlines()[:4] == [
        "step    jobs  minutes of one core  MB",
        "read    2     1.0                  5.0",
        "train   1     10                   20",
        "in all  3     11                   25",
    ]
    assert "about 2.8 minutes on its 4 cores" in text


def test_the_probe_counts_the_work_of_one_thread(monkeypatch):
    seen = []

    def note(action, _times):
        action()
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return 1.0

    monkeypatch.setattr(estimate, "least", note)
    with threadpool_limits(2):
        probe()
    assert seen
    assert {*seen} == {1}


def test_a_network_and_the_probe_are_really_timed():
    forward, step = network("papers", 1, 65)
    assert 0 < forward < step < 1
    assert network("folder:nowhere/at all", 1, 65) is None
    assert 0 < probe() < 5
    assert least(lambda: sum(range(10_000))) < least(lambda: sum(range(1_000_000)))
