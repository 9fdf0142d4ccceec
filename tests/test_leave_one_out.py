"""Each task as the target once: what the plan makes of it, and what is compared with what."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.evaluation.leave_one_out import main
from pipeline.errors import ConfigError
from pipeline.provenance import ROOT
from tests.test_compare import HALF, RIGHT, THREE_QUARTERS, Experiment
from tests.test_config import merge
from workflow import variants
from workflow.config import checked
from workflow.config.collections import channels_of
from workflow.plan import baselines, leave_one_out, start, targets, training

TASKS = ("a", "b", "c")


def config(own: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Three data sets from tables, target a, of which b and c are left out unless ``own`` says otherwise."""
    collections = {name: {"kind": "table", "table": "t.csv"} for name in TASKS}
    made = {
        "datasets": [*TASKS],
        "target": "a",
        "collections": collections,
        "leave_one_out": {"tasks": ["b", "c"], **own},
    }
    return checked({**made, **changes})  # fmt: skip


class TestPlan:
    def test_a_pretraining_has_nothing_to_do_with_the_task_that_is_left_out(self) -> None:
        made = config({})
        name = "leave_one_out/b/pretrain"
        (phase,) = training.phases(made, name)
        assert (phase["datasets"], phase["step"], phase["batch_size"]) == (["a", "c"], "mixed", 32)
        assert training.stores(made, name) == ["<data>/a/patches.h5", "<data>/c/patches.h5"]
        assert training.splits(made, name, "3") == ["<data>/a/splits/fold3.csv", "<data>/c/splits/fold3.csv"]
        assert training.target(made, name) == "a"
        assert (
            start.start(made, name, "3", "1") == f"results/{name}/fold3/seed1/bootstrap/network.safetensors"
        )
        assert start.weights(made, name, "3", "1") == "imagenet"

    def test_each_way_begins_with_the_run_of_its_fold_and_seed_and_sees_the_target_alone(self) -> None:
        made = config({})
        run = "results/leave_one_out/c/pretrain/fold3/seed1"
        tuned = "leave_one_out/c/pretrain/finetune"
        assert start.weights_files(made, tuned, "3", "1") == [f"{run}/model.safetensors", f"{run}/seen.json"]
        assert (
            start.start(made, tuned, "3", "1") == f"results/{tuned}/fold3/seed1/bootstrap/network.safetensors"
        )
        for way in ("finetune", "probe", "probe_svm"):
            name = f"leave_one_out/c/pretrain/{way}"
            assert training.stores(made, name) == ["<data>/c/patches.h5"]
            assert training.target(made, name) == "c"
        features = f"{run}/embeddings/leave_one_out.pretrain.c/c.h5"
        assert baselines.files(made, "leave_one_out/c/pretrain/probe", "3", "1") == {"embeddings": features}
        assert baselines.candidate_files(made, "leave_one_out/c/pretrain/probe_svm", "3", "1") == [features]
        assert '[["svm", 0.01]]' in baselines.learners(made, "leave_one_out/c/pretrain/probe_svm")
        # The list of whom it has seen is asked with the split of the target.
        options = baselines.run_encoder_options(made, "leave_one_out.pretrain.c", "c", "3", "1")
        assert f"--weights {run}/model.safetensors" in options
        assert "--split data/c/splits/fold3.csv --like c --people c --leak refuse" in options

    def test_fixed_weights_are_shared_by_all_folds_and_random_ones_move_as_a_whole(self) -> None:
        made = config({"sources": {"random": "random", "imagenet": "imagenet"}})
        features = "<data>/b/embeddings/leave_one_out.imagenet.h5"
        assert baselines.files(made, "leave_one_out/b/imagenet/probe", "3", "1") == {"embeddings": features}
        said = baselines.encoder_options(made, "leave_one_out.imagenet")
        assert said == "--network efficientnet_lite0 --weights imagenet --views 16"
        of = {
            source: training.phases(made, f"leave_one_out/b/{source}/finetune")[0]
            for source in ("random", "imagenet", "pretrain")
        }
        assert {source: phase["batch_norm"] for source, phase in of.items()} == {
            "random": "train", "imagenet": "eval", "pretrain": "eval"}  # fmt: skip
        assert [bool(phase["layers"]) for phase in of.values()] == [False, True, True]

    def test_results_are_of_each_target_source_and_way_and_no_pretraining_is_one(self) -> None:
        made = config({"ways": ["probe", "finetune"]}, split={"kind": "repeats", "n": 4}, seeds=[0, 1])
        found = leave_one_out.results(made)
        assert found[:3] == [
            f"results/leave_one_out/b/{name}_auc.json"
            for name in ("random/probe", "random/finetune", "imagenet/probe")
        ]
        assert len(found) == 2 * 3 * 2
        assert len(leave_one_out.each_run(made)) == len(found) * 4 * 2
        assert leave_one_out.splits(made)[-1] == "<data>/c/splits/fold3.csv"
        assert leave_one_out.first_pretraining(made) == ["results/leave_one_out/b/pretrain/fold0/seed0"]

    def test_other_methods_and_variants_may_train_and_be_ways(self) -> None:
        published = {
            "method": "pretrain",
            "hyperparameters": {"pretrain": {"training": {"optimizer": "sgd"}}},
        }
        weak = {"method": "probe", "hyperparameters": {"probe": {"penalties": [0.1]}}}
        made = config(
            {
                "pretraining": ["multitask", "published"],
                "ways": ["weak"],
                "network": "resnet18",
                "sources": {"random": "random"},
            },
            variants={"published": published, "weak": weak},
            hyperparameters={"pretrain": {"weights": "random"}},
        )
        (phase,) = training.phases(made, "leave_one_out/b/published")
        assert (phase["optimizer"], phase["batch_size"]) == ("sgd", 32)
        assert {training.setting(made, f"leave_one_out/b/{name}", "network") for name in ("multitask", "published")} == {
            "resnet18"}  # fmt: skip
        own = variants.of(made, "leave_one_out/b/published/weak").settings(made)["hyperparameters"]["probe"]
        assert (own["penalties"], own["encoder"]) == ([0.1], "leave_one_out.published.b")

    def test_the_config_of_the_paper_has_its_settings_beside_ours(self) -> None:
        files = [
            yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
            for name in ("config", "multitask-pathology")
        ]
        made = checked(merge(*files))
        assert len(leave_one_out.results(made)) == 8 * 4 * 3  # tasks, sources, ways
        (ours,), (theirs,) = (
            training.phases(made, f"leave_one_out/idc/{name}") for name in ("pretrain", "published")
        )
        assert set(ours["datasets"]) == set(theirs["datasets"]) == {*made["datasets"]} - {"idc"}
        keys = (
            "step",
            "optimizer",
            "learning_rate",
            "momentum",
            "batch_size",
            "schedule",
            "layers",
            "batch_norm",
            "balance",
        )
        assert [theirs[key] for key in keys] == ["mixed", "sgd", 1e-4, 0, 8, None, None, "train", "views"]
        assert [ours[key] for key in ("step", "optimizer", "batch_size", "batch_norm")] == [
            "mixed",
            "adamw",
            32,
            "eval",
        ]
        # LinearSVC with C = .01, on the network of both.
        assert '"svm", 0.01' in baselines.learners(made, "leave_one_out/idc/published/probe_svm")
        assert channels_of(made["collections"]["idc"], "idc") == ["red", "green", "blue"]

    def test_who_pretrains_and_transfers_is_cited_and_whose_weights_are(self) -> None:
        made = config({})
        assert {"pretrain", "finetune", "probe_svm", "efficientnet_lite0", "imagenet"} <= {
            *targets.cited(made)
        }
        assert "pretrain" not in targets.cited(config({"tasks": []}))
        assert list(json.loads(targets.weights(made))) == ["efficientnet_lite0, imagenet"]

    def test_without_tasks_there_is_nothing_to_make(self) -> None:
        made = config({"tasks": []})
        assert not [name for name in variants.networks(made) if name.startswith("leave_one_out")]
        with pytest.raises(ConfigError, match="leave_one_out/tasks: expected data sets to leave out in turn"):
            leave_one_out.results(made)

    @pytest.mark.parametrize(
        ("own", "line"),
        [
            ({"tasks": ["bb"]}, "leave_one_out/tasks: expected one of datasets, found bb"),
            ({"pretraining": ["rwg"]}, "leave_one_out/pretraining: expected a method that trains a network, found rwg"),
            ({"pretraining": ["probe"]}, "leave_one_out/pretraining: .* found probe"),
            ({"ways": ["typhon"]}, "leave_one_out/ways: expected probe_svm, probe, probe_knn, finetune, or variants"),
            ({"sources": {"pretrain": "imagenet"}}, "leave_one_out/sources: expected another name"),
            ({"network": "resnet"}, "leave_one_out/network: expected a network, found resnet"),
            ({"sources": {"imagenet": "inagenet"}}, "leave_one_out, encoders/leave_one_out.imagenet/weights: expected weights"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_told_from_the_config(self, own: dict[str, Any], line: str) -> None:
        with pytest.raises(ConfigError, match=line):
            config(own)

    def test_one_data_set_leaves_none_to_train_on(self) -> None:
        with pytest.raises(ConfigError, match="leave_one_out/tasks: expected others in datasets to train on"):
            config({"tasks": ["a"]}, datasets=["a"])


def test_sources_are_paired_within_a_target_and_a_way(tmp_path: Path) -> None:
    """By the probe: 1/2 and 3/4 from ImageNet, 1 and 3/4 from the tasks, so 1/2, 0, 1/2, 0 in four splits, whose
    interval tests/test_compare.py works out: p = .4950, and 1.0 after Holm for the family of six, as the others
    are 1. By fine-tuning both are 3/4 throughout, and random ones are as good as those.
    """
    made = Experiment(tmp_path, folds=4)
    made.add("leave_one_out/t/random/probe", HALF)
    made.add("leave_one_out/t/random/finetune", THREE_QUARTERS)
    made.add("leave_one_out/t/imagenet/probe", *[HALF, THREE_QUARTERS] * 2)
    made.add("leave_one_out/t/imagenet/finetune", THREE_QUARTERS)
    made.add("leave_one_out/t/pretrain/probe", *[RIGHT, THREE_QUARTERS] * 2)
    made.add("leave_one_out/t/pretrain/finetune", THREE_QUARTERS)
    out = {name: tmp_path / f"results/leave_one_out{name}" for name in (".csv", "_differences.csv", ".png")}
    main(["--results", *(str(made.result(name)) for name in made.names),
          "--runs", *(str(run) for name in made.names for run in made.runs(name)),
          "--splits", *map(str, made.splits), "--out", str(out[".csv"]), "--differences", str(out["_differences.csv"]),
          "--picture", str(out[".png"])])  # fmt: skip
    rows = list(csv.DictReader(out[".csv"].read_text().splitlines()))
    assert [(row["way"], row["source"], row["auroc"]) for row in rows] == [
        ("probe", "random", "0.500"), ("probe", "imagenet", "0.625"), ("probe", "pretrain", "0.875"),
        ("finetune", "random", "0.750"), ("finetune", "imagenet", "0.750"), ("finetune", "pretrain", "0.750"),
    ]  # fmt: skip
    assert {(row["target"], row["splits"], row["runs"]) for row in rows} == {("t", "4", "4")}
    pairs = list(csv.DictReader(out["_differences.csv"].read_text().splitlines()))
    told = {(row["way"], row["source"], row["reference"]): row for row in pairs}
    assert {key: row["difference"] for key, row in told.items()} == {
        ("probe", "imagenet", "random"): "0.125", ("probe", "pretrain", "random"): "0.375",
        ("probe", "pretrain", "imagenet"): "0.250", **{("finetune", one, other): "0.000" for one, other in (
            ("imagenet", "random"), ("pretrain", "random"), ("pretrain", "imagenet"))},
    }  # fmt: skip
    first = told["probe", "pretrain", "imagenet"]
    assert (first["corrected95"], first["p_corrected"]) == ("[-0.777, 1.000]", "0.4950")
    assert told["finetune", "pretrain", "imagenet"]["p_corrected"] == "1.0000"
    assert out[".png"].read_bytes().startswith(b"\x89PNG")
