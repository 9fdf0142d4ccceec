"""What rules read and are told, worked out by hand for the experiments of config/, without Snakemake."""

import copy
import json
import shlex
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from pipeline.errors import ConfigError, RawMissingError
from pipeline.provenance import ROOT
from workflow.config import checked
from workflow.plan import (
    RefusedError,
    baselines,
    challenge,
    data,
    effects,
    papers,
    runs,
    search,
    start,
    targets,
    training,
)
from workflow.plan.adaptor import asks, memory, untracked

READ = {
    name: yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    for name in ("config", "demo", "demo-all", "paper")
}


def config(*files, **more):
    """The config of these files over config.yaml, with ``more`` on top."""
    filled = copy.deepcopy(READ["config"])
    for name in files:
        update_config(filled, copy.deepcopy(READ[name]))
    update_config(filled, more)
    return checked(filled)


TWO_RUNS = {"seeds": [3], "split": {"kind": "repeats", "n": 2}}


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ({"labels": {"gutartig": 0, "bösartig": 1}}, """--classes '["gutartig", "bösartig"]'"""),
        ({"folders": {"yes": 1, "-no": 0}}, """--classes '["-no", "yes"]'"""),
        ({"labels": {"B": 0, "benign": 0, "M": 1}}, """--classes '["B", "M"]'"""),
        ({"labels": {"3": 2, "1": 0, "2": 1}}, """--classes '["1", "2", "3"]'"""),
        ({"label_columns": ["mass", "nodule"]}, """--classes '["mass", "nodule"]' --multilabel"""),
        ({}, """--classes '["label 0", "label 1"]'"""),
    ],
)
def test_classes_are_called_what_the_user_calls_them(words: dict[str, Any], flags: str) -> None:
    keys = {"kind": "table", **({} if "folders" in words else {"table": "t.csv"}), **words}
    mine = checked({"datasets": ["mine"], "target": "mine", "collections": {"mine": keys}})
    assert data.class_names(mine, "mine") == flags


def test_the_label_of_chest_x_rays_is_in_the_names_of_their_classes() -> None:
    mine = {"kind": "chestxray14", "label": "Mass", "version": 2017}
    mine = checked({"datasets": ["mine"], "target": "mine", "collections": {"mine": mine}})
    assert "Mass" in data.class_names(mine, "mine")


class TestRuns:
    def test_there_is_one_for_each_fold_and_seed_the_fold_first(self):
        assert runs(config(seeds=[5, 0], split={"kind": "repeats", "n": 2})) == [
            "fold0/seed5", "fold0/seed0", "fold1/seed5", "fold1/seed0",
        ]  # fmt: skip

    def test_a_file_of_each_lies_below_the_method(self):
        two = config(**TWO_RUNS)
        assert training.folders(two, "typhon") == ["results/typhon/fold0/seed3", "results/typhon/fold1/seed3"]
        assert training.files(two, "hydra", "history.csv") == [
            "results/hydra/fold0/seed3/history.csv", "results/hydra/fold1/seed3/history.csv",
        ]  # fmt: skip
        assert targets.compared(config(methods=["typhon", "rwg"], seeds=[1]), "best/predictions.csv") == [
            "results/typhon/fold0/seed1/best/predictions.csv", "results/rwg/fold0/seed1/best/predictions.csv",
        ]  # fmt: skip


class TestTraining:
    def test_a_method_reads_what_it_trains_on_in_its_turns_and_the_target(self):
        assert training.datasets(config(), "typhon") == ["prostatex", "lungx", "brain"]
        assert training.datasets(config(target="brain"), "hydra") == ["brain", "prostatex", "lungx"]
        for alone in ("classical", "rwg", "logistic", "adc"):
            assert training.datasets(config(target="lungx"), alone) == ["lungx"]

    def test_stores_splits_and_cards_follow(self):
        assert training.stores(config(), "classical") == ["<data>/prostatex/patches.h5"]
        assert training.splits(config(), "typhon", "4") == [
            "<data>/prostatex/splits/fold4.csv", "<data>/lungx/splits/fold4.csv", "<data>/brain/splits/fold4.csv",
        ]  # fmt: skip
        assert training.splits_of_all_folds(config(datasets=["prostatex", "brain"], **TWO_RUNS), "typhon") == [
            "<data>/prostatex/splits/fold0.csv", "<data>/prostatex/splits/fold1.csv",
            "<data>/brain/splits/fold0.csv", "<data>/brain/splits/fold1.csv",
        ]  # fmt: skip
        assert training.cards(config(), "classical", "0") == ["<data>/prostatex/cards/fold0.json"]

    def test_one_network_takes_stores_of_as_many_channels_only(self):
        stacked = config(collections={"prostatex": {"channels": ["t2", "dwi", "adc"]}})
        with pytest.raises(ConfigError) as error:
            training.stores(stacked, "classical")
        assert str(error.value) == (
            "E-CONFIG datasets: expected as many channels in each data set, found 3 of prostatex, 1 of lungx, "
            "1 of brain; train data sets with as many channels, such as datasets: [prostatex] alone"
        )

    def test_neighbouring_slices_are_channels_too(self):
        volumes = {"kind": "table", "table": "t.csv", "neighbours": "3 mm"}
        of_three = {"kind": "prostatex", "channels": ["t2", "dwi", "adc"]}
        both = config(
            datasets=["ct", "prostatex"], target="ct", collections={"ct": volumes, "prostatex": of_three}
        )
        assert training.stores(both, "typhon") == ["<data>/ct/patches.h5", "<data>/prostatex/patches.h5"]

    def test_phases_of_no_epochs_are_left_out(self):
        short = config(hyperparameters={"typhon": {"specialization": {"epochs": 0}}})
        assert [phase["name"] for phase in json.loads(training.phases_as_json(short, "typhon"))] == [
            "training"
        ]
        assert training.phases_as_json(short, "rwg") == training.phases_as_json(short, "logistic") == "[]"

    def test_networks_see_findings_by_their_views_unless_their_last_phase_draws_classes_equally(self):
        methods = ["typhon", "finetune", "probe", "rwg"]
        first = {"typhon": {"training": {"balance": "undersample"}}}
        last = {"typhon": {"specialization": {"balance": "undersample"}}}
        views = {"finetune": {"training": {"balance": None}}}
        assert training.by_views(config(methods=methods, hyperparameters=first)) == ["typhon"]
        assert training.by_views(config(methods=methods, hyperparameters=last)) == []
        assert training.by_views(config(methods=methods, hyperparameters=views)) == ["typhon", "finetune"]
        assert training.by_views(config(methods=methods, hyperparameters=views, balance="undersample")) == []

    def test_nothing_is_tested_where_everything_trains(self):
        assert training.tested_files(config(seeds=[0]), "typhon", "predictions.csv") == [
            "results/typhon/fold0/seed0/predictions.csv"
        ]
        everything = config() | {"split": {"kind": "all", "n": 1}}
        with pytest.raises(ConfigError, match="found all"):
            training.tested_files(everything, "typhon", "predictions.csv")
        assert targets.tested(everything) == targets.results(everything) == []


class TestStart:
    def test_methods_of_a_comparison_share_one_and_a_method_without_phases_has_its_own(self):
        several = config(methods=["classical", "typhon", "rwg"], datasets=["lungx", "prostatex", "brain"])
        assert start.shared_datasets(several) == ["lungx", "prostatex", "brain"]
        assert (
            start.start(several, "classical", "0", "7") == "results/bootstrap/fold0/seed7/network.safetensors"
        )
        assert start.start(several, "rwg", "0", "7") == (
            "results/rwg/fold0/seed7/bootstrap/network.safetensors"
        )
        assert start.start_benchmarks(several | {"seeds": [7]}, "typhon") == [
            "benchmarks/results/bootstrap/fold0/seed7/bootstrap.tsv"
        ]
        assert start.start_benchmarks(several | {"seeds": [7]}, "rwg") == [
            "benchmarks/results/rwg/fold0/seed7/bootstrap.tsv"
        ]

    def test_methods_that_train_share_a_start_unless_told_otherwise(self):
        assert start.sharing(config(methods=["classical", "rwg", "typhon", "logistic"])) == [
            "classical",
            "typhon",
        ]
        assert start.sharing(config(methods=["classical", "typhon"], bootstrap={"start": "own"})) == []
        for nothing_to_share_it_with in (["typhon"], ["typhon", "rwg", "adc"]):
            assert start.sharing(config(methods=nothing_to_share_it_with)) == []

    def test_supports_that_no_method_trains_on_are_not_scored(self):
        assert start.shared_datasets(config(methods=["classical", "logistic"])) == [
            "prostatex"
        ]  # nobody shares
        two = config(methods=["classical", "transfer"], datasets=["prostatex", "brain"])
        assert start.shared_stores(two) == ["<data>/prostatex/patches.h5", "<data>/brain/patches.h5"]
        assert start.shared_splits(two, "1") == [
            "<data>/prostatex/splits/fold1.csv", "<data>/brain/splits/fold1.csv",
        ]  # fmt: skip

    @pytest.mark.parametrize("how", [{"methods": ["typhon"]}, {"bootstrap": {"start": "own"}}])
    def test_one_method_alone_or_methods_that_shall_not_share_have_their_own(self, how):
        own = config(**{"methods": ["typhon", "classical"], **how})
        assert (
            start.start(own, "typhon", "0", "1") == "results/typhon/fold0/seed1/bootstrap/network.safetensors"
        )

    def test_random_networks_are_scored_on_the_data_sets_of_the_first_phase(self):
        assert start.scored_datasets(config(), "typhon") == ["prostatex", "lungx", "brain"]
        assert (
            start.scored_datasets(config(), "hydra")
            == start.scored_datasets(config(), "rwg")
            == ["prostatex"]
        )

    def test_random_guessing_alone_has_its_own_number_of_them(self):
        assert start.random_networks(config(), "rwg") == 1000
        assert start.random_networks(config(), "typhon") == 200


class TestData:
    def test_settings_are_flags_and_absent_ones_are_left_out(self):
        assert data.options(config(), "lungx", ["window", "extent", "channels"]) == (
            "--window -1400 200 --extent '60 mm'"
        )

    def test_code_is_that_of_the_step_and_of_the_kind(self):
        step = data.code_of(config(), "lungx", "pipeline.findings")
        assert step != data.code_of(config(), "brain", "pipeline.findings")
        assert step != data.code_of(config(), "lungx", "pipeline.patches.cut")

    def test_the_index_waits_for_phantoms_or_ends_the_run_with_what_is_missing(self, tmp_path, monkeypatch):
        assert data.raw_data(config("demo"), "brain") == ["<data>/raw/brain"]
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RefusedError) as error:
            data.raw_data(config(), "brain")
        *lines, last = str(error.value).splitlines()
        assert [line.split()[:2] for line in lines] == [
            ["E-RAW", f"data/raw/{name}:"] for name in ("prostatex", "lungx", "brain")
        ]
        assert last == "To see the workflow run on synthetic data first: ./run demo"

    def test_faults_of_a_table_end_the_run_and_mended_ones_do_not(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        raw = tmp_path / "data/raw/mine"
        raw.mkdir(parents=True)
        (raw / "a.png").write_bytes(b"")
        (raw / "t.csv").write_text("image,patient_id,finding_id,label\na.png,p,0,0\n")
        own = {
            "collections": {"mine": {"kind": "table", "table": "t.csv"}},
            "datasets": ["mine"],
            "target": "mine",
        }
        with pytest.raises(
            RefusedError, match=r"^E-LABEL data/raw/mine/t\.csv: expected findings of both labels"
        ):
            data.raw_data(config(**own), "mine")
        (raw / "t.csv").write_text("image,patient_id,finding_id,label\na.png,p,0,0\na.png,q,1,1\n")
        assert data.raw_data(config(**own, seeds=[1]), "mine") == []

    def test_no_phantom_is_written_over_downloads(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert data.room_for_phantom(config(), "lungx") == []
        (tmp_path / "data/raw/lungx").mkdir(parents=True)
        (tmp_path / "data/raw/lungx/1.dcm").write_text("precious")
        with pytest.raises(RawMissingError, match="files"):
            data.room_for_phantom(config(), "lungx")

    def test_of_the_challenge_s_findings_no_more_views_are_cut_than_are_scored(self):
        assert data.stored_views(config(), "prostatex") == 246
        assert data.stored_views(CHALLENGED, "test") == 11

    def test_published_splits_alone_may_have_a_patient_in_two(self):
        assert data.leak(config()) == "refuse"
        assert data.leak(config("paper")) == "warn"

    def test_several_channels_are_shown_side_by_side(self):
        assert data.pictures(config(), "brain") == [
            "<data>/brain/contact_sheet.png", "<data>/brain/red_dots.png", "<data>/brain/fingerprint.png",
        ]  # fmt: skip
        stacked = config(collections={"prostatex": {"channels": ["t2", "adc"]}})
        assert data.pictures(stacked, "prostatex")[-1] == "<data>/prostatex/alignment.png"

    def test_checks_read_the_other_data_sets(self):
        two = config(datasets=["prostatex", "brain"])
        assert data.files_of_others(two, "brain") == [
            "<data>/prostatex/findings.csv", "<data>/prostatex/slices.h5", "<data>/prostatex/splits/fold0.csv",
        ]  # fmt: skip
        assert data.people_in_checks(two, "brain") == ["brain", "prostatex"]

    def test_official_lists_tell_the_split_of_a_collection_that_has_them_alone(self):
        chest = {"kind": "chestxray14", "patients": "nih"}
        collections = {"c": chest | {"label": "Mass"}, "d": chest, "brain": {"kind": "brain"}}
        mine = checked({"datasets": [*collections], "target": "c", "collections": collections,
                        "split": {"kind": "official", "validation": 0.1}})  # fmt: skip
        assert data.split_column(mine, "c") == (
            "--official chestxray14 --label Mass --against rest --version 2020"
        )
        assert data.split_column(mine, "brain") == ""
        assert data.same_people(mine, "c") == data.same_people(mine, "d") == []

    def test_data_sets_of_the_same_people_are_split_together(self):
        same = config(collections={"lungx": {"patients": "brain"}})
        assert data.same_people(same, "lungx") == ["<data>/brain/patches.h5"]
        assert data.same_people(same, "prostatex") == []
        assert training.people(same, "typhon") == ["prostatex", "brain", "brain"]


RUN = ("0", "1")
"""Fold and seed."""
CHALLENGED = config(
    challenge="test",
    collections={
        "test": {"kind": "prostatex", "part": "test", "channels": ["t2", "dwi", "adc"], "extent": "65 mm"},
        "prostatex": {"channels": ["t2", "dwi", "adc"]},
    },
    datasets=["prostatex"],
)


class TestChallenge:
    def test_its_files_are_those_of_the_collection_that_the_config_names(self):
        assert challenge.file(CHALLENGED, "patches.h5") == "<data>/test/patches.h5"
        with pytest.raises(ConfigError) as error:
            challenge.file(config(), "patches.h5")
        said = "E-CONFIG challenge: expected the name of a collection with part: test, found nothing"
        assert str(error.value) == said

    @pytest.mark.parametrize(("state", "folder"), [("last", ""), ("best", "best/")])
    def test_the_state_that_counts_predicts_it(self, state, folder):
        found = challenge.state(config(evaluation={"state": state}), "hydra", "1", "2")
        assert found == f"results/hydra/fold1/seed2/{folder}model.safetensors"

    def test_only_the_rule_of_the_adc_reads_maps(self):
        assert baselines.files(config(), "logistic", *RUN) == {}
        assert baselines.files_of_both(config(), "logistic", *RUN) == {}
        assert baselines.files_of_both(CHALLENGED, "adc", *RUN) == {
            "slices": "<data>/prostatex/slices.h5", "findings": "<data>/prostatex/findings.csv",
            "unlabelled_slices": "<data>/test/slices.h5", "unlabelled_findings": "<data>/test/findings.csv",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({}, "E-CONFIG hyperparameters/adc/collection: expected a collection of the target's findings with "
                 "the channel adc, found prostatex with dwi; add adc to its channels"),
            ({"hyperparameters": {"adc": {"collection": "maps"}}},
             "E-CONFIG hyperparameters/adc/collection: expected an entry in collections, found maps"),
        ],
    )  # fmt: skip
    def test_a_target_without_maps_is_told(self, change, said):
        with pytest.raises(ConfigError) as error:
            baselines.files(config(**change), "adc", *RUN)
        assert str(error.value).startswith(said)

    def test_a_probe_of_tiny_patches_is_told_so_even_where_the_config_does_not_list_it(self):
        tiny = config(encoders={"lite0": {"side": 31}}, datasets=["prostatex"])
        assert tiny["methods"] == ["typhon"]
        with pytest.raises(ConfigError, match=r"encoders/lite0/side: expected at least 32, .*, found 31"):
            baselines.files(tiny, "probe", *RUN)

    def test_a_probe_reads_what_its_encoder_makes_of_the_target(self):
        encoder = config()["hyperparameters"]["probe"]["encoder"]
        assert baselines.files_of_both(CHALLENGED, "probe", *RUN) == {
            "embeddings": f"<data>/prostatex/embeddings/{encoder}.h5",
            "unlabelled_embeddings": f"<data>/test/embeddings/{encoder}.h5",
        }
        assert "encoder" not in baselines.options(config(), "probe", {"embeddings": "e.h5"})
        assert "--embeddings e.h5" in baselines.options(config(), "probe", {"embeddings": "e.h5"})

    def test_candidates_are_features_with_learners_the_simplest_first(self):
        mine = config(
            hyperparameters={"probe": {"penalties": [0.1, 0.01]}, "radiomics": {"l1": [], "l2": [1]}}
        )
        assert baselines.candidates(mine, "probe_svm") == {"lite0": [("svm", 0.01)]}
        assert baselines.candidates(mine, "probe_knn")["lite0"][0] == ("neighbours", 50)
        of_radiomics = [("l2", 1), ("elastic_net", 0.01), ("elastic_net", 0.1), ("forest", 5)]
        assert baselines.candidates(mine, "radiomics") == {"radiomics": of_radiomics}
        found = baselines.candidates(mine, "auto")
        assert list(found) == ["lite0-layers", "lite0-96", "radiomics", "intensity"]
        assert found["lite0-layers"] == found["lite0-96"] == [("l2", 0.01), ("l2", 0.1)]
        assert found["radiomics"] == of_radiomics
        assert found["intensity"][0] == ("l2", 1e-4)
        assert json.loads(baselines.learners(mine, "probe_svm")) == {"lite0": [["svm", 0.01]]}
        assert baselines.candidate_files(mine, "auto", *RUN) == [
            f"<data>/prostatex/embeddings/{name}.h5"
            for name in ("lite0-layers", "lite0-96", "radiomics", "intensity")
        ]

    def test_candidates_of_a_variant_are_its_own(self):
        without = {"method": "auto", "hyperparameters": {"auto": {"candidates": ["radiomics"], "folds": 3}}}
        mine = config(variants={"plain": without}, methods=["plain"])
        assert baselines.candidate_names(mine, "plain") == ["radiomics"]
        assert baselines.inner_folds(mine, "plain") == 3
        assert targets.cited(mine | {"phantom": {}}) == ["auto"]
        assert "results/plain_candidates.html" in targets.figures(mine)

    def test_a_baseline_is_told_its_settings_and_the_maps_among_its_inputs(self):
        inputs = {"stores": "s.h5", "slices": "a.h5", "findings": "a.csv"}
        assert baselines.options(config(), "adc", inputs) == ("--radius 5 --slices a.h5 --findings a.csv")
        assert baselines.options(config(), "logistic", {"stores": "s.h5"}) == (
            "--penalties 0.0001 0.001 0.01 0.1 1 10 100 --folds 5"
        )

    def test_the_truth_is_a_file_of_the_user_or_comes_with_the_phantoms(self, tmp_path):
        file = tmp_path / "truth.csv"
        file.write_text("a\n")
        assert challenge.truth(CHALLENGED | {"truth": str(file)}) == file
        assert challenge.truth(CHALLENGED | {"truth": "t.csv", "phantom": {}}) == "<data>/raw/prostatex"
        with pytest.raises(ConfigError, match="found no such file"):
            challenge.truth(CHALLENGED | {"truth": str(tmp_path / "none.csv")})
        with pytest.raises(ConfigError, match="found nothing"):
            challenge.truth(CHALLENGED)


class TestTargets:
    def test_an_experiment_comes_to_its_test_results_and_its_predictions_for_the_challenge(self):
        assert targets.results(config(methods=["typhon", "adc"])) == [
            "results/typhon_auc.json", "results/adc_auc.json",
        ]  # fmt: skip
        assert targets.results(CHALLENGED | {"truth": "t.csv"}) == [
            "results/typhon_auc.json", "results/typhon_challenge.csv", "results/typhon_challenge.json",
        ]  # fmt: skip

    def test_one_method_is_compared_with_none(self):
        assert targets.comparison(config()) == []
        assert targets.comparison(config(methods=["typhon", "rwg"])) == [
            "results/comparison.csv", "results/comparison.md", "results/comparison.tex",
            "results/differences.csv", "results/differences.md", "results/differences.tex",
            "results/comparison.png", "results/roc.png",
        ]  # fmt: skip

    def test_the_report_shows_what_there_is_to_see_of_each_method(self):
        brain = {"datasets": ["brain"], "target": "brain", "seeds": [0]}
        about_data = [f"<data>/brain/{name}" for name in (
            "contact_sheet.png", "red_dots.png", "fingerprint.png", "verify.html"
        )]  # fmt: skip
        pages = [f"results/{name}" for name in (
            "overview.html", "front.html", "calibration.html", "calibration.png", "ranking.html", "precision_recall.png",
            "operating.html", "operating.png", "decision.png", "conformal.html", "abstain.png", "flow.png", "reporting.html", "software.html", "cite.html",
        )]  # fmt: skip
        assert targets.figures(config(methods=["logistic"], **brain)) == [
            *about_data, *pages, "results/logistic/roc.png",
        ]  # fmt: skip
        assert targets.figures(config(methods=["rwg"], **brain)) == [
            *about_data, *pages, "results/rwg/roc.png", "results/rwg/saliency.png", "results/rwg/fold0/seed0/bootstrap/scores.png",
        ]  # fmt: skip
        assert targets.figures(config(methods=["joint", "pooled"], **brain)) == [
            *about_data, *pages, "results/joint/roc.png", "results/pooled/roc.png",
            "results/joint/saliency.png", "results/pooled/saliency.png",
            "results/joint/curves.png", "results/pooled/curves.png",
            "results/bootstrap/fold0/seed0/scores.png",
            "results/joint/fold0/seed0/tensorboard", "results/pooled/fold0/seed0/tensorboard",
        ]  # fmt: skip

    def test_what_views_are_drawn_from_is_told_where_they_are_drawn_and_it_is_not_usual(self):
        ten = {"rotation": 10, "scale": 0.12, "shift": 0.04, "brightness": 0.2}
        assert data.online(config()) == data.online(config(online=ten)) == ""
        assert data.online(config(augmentation="online")) == ""
        told = data.online(config(augmentation="online", online=ten))
        assert json.loads(shlex.split(told)[1]) == ten

    def test_subgroups_are_told_where_columns_are_named_and_their_table_is_there(self, tmp_path):
        plain = {"table": None, "names": {}, "cuts": {}, "minimum": 10}
        named = config(subgroups={**plain, "columns": ["sex"], "cuts": {"age": [50]}})
        assert "results/subgroups.html" in targets.figures(named)
        assert "results/subgroups.html" not in targets.figures(config())
        assert targets.subgroups_table(named) == []
        assert targets.subgroups_options(named) == (
            "--columns sex --names '{}' --cuts '{\"age\": [50.0]}' --minimum 10"
        )
        (table := tmp_path / "t.csv").touch()
        there = config(subgroups={**plain, "columns": ["sex"], "table": str(table)})
        assert targets.subgroups_table(there) == [str(table)]
        table.unlink()
        with pytest.raises(ConfigError, match="subgroups/table"):
            targets.subgroups_table(there)
        with pytest.raises(ConfigError, match="subgroups/columns"):
            targets.subgroups_options(config())

    def test_what_is_cited_are_methods_and_kinds_and_of_phantoms_methods_alone(self):
        assert targets.cited(config()) == ["typhon", "prostatex", "lungx", "brain", "papers"]
        assert targets.cited(config("demo", methods=["typhon"])) == ["typhon", "papers"]

    def test_auto_cites_the_networks_of_its_candidates(self):
        assert targets.cited(config("demo", methods=["auto"])) == ["auto", "efficientnet_lite0", "imagenet"]
        known = json.loads(targets.weights(config("demo", methods=["auto"])))
        assert known["efficientnet_lite0, imagenet"]["licence"] == "Apache-2.0"
        assert targets.weights(config()) == "{}"

    def test_a_probe_cites_its_network_and_those_whose_pictures_its_weights_are_from(self):
        assert targets.cited(config("demo", methods=["probe", "adc"])) == [
            "probe", "adc", "efficientnet_lite0", "imagenet",
        ]  # fmt: skip
        assert json.loads(targets.terms(config("demo")))["brain"] == {"collection": "synthetic data"}

    def test_downloads_wait_for_the_licences_to_be_accepted(self):
        with pytest.raises(RefusedError, match="To accept and download"):
            targets.to_download(config(datasets=["prostatex"]))
        accepted = config(datasets=["prostatex", "lungx"], accept_download=True)
        assert targets.to_download(accepted) == [
            "<data>/raw/.prostatex.checked", "<data>/raw/.lungx.checked", "<data>/raw/.labels",
        ]  # fmt: skip

    def test_methods_that_train_no_network_are_told_apart_variants_too(self):
        two = {"p96": {"method": "probe"}, "slow": {"method": "typhon"}}
        assert targets.untrained(config(methods=["typhon", "p96", "slow", "probe"], variants=two)) == [
            "p96",
            "probe",
        ]

    def test_folders_of_the_report_are_numbered_without_gaps(self):
        own = {
            "datasets": ["mine"],
            "target": "mine",
            "collections": {"mine": {"kind": "table", "table": "mine.csv"}},
        }
        compared = {"methods": ["typhon", "logistic"]}
        assert [*targets.folders(config(**compared)).values()] == [
            "1 Results", "2 Comparison", "3 Data", "4 Training", "5 Papers", "6 Provenance", "7 External", "8 Search",
        ]  # fmt: skip
        assert [*targets.folders(config(**own)).values()][:4] == [
            "1 Results", "2 Data", "3 Training", "4 Provenance",
        ]  # fmt: skip
        assert targets.folders(config(**own, methods=["logistic"]))["Provenance"] == "3 Provenance"


class TestPapers:
    def test_own_data_get_no_tables_and_figures_of_papers(self):
        own = config(
            datasets=["mine"], target="mine", collections={"mine": {"kind": "table", "table": "mine.csv"}}
        )
        assert (papers.tables(own), papers.figures(own)) == ([], [])
        assert "typhon_2" in papers.tables(config())

    def test_figures_are_drawn_of_the_methods_that_were_run(self):
        assert papers.figures(config()) == ["typhon_4", "typhon_5"]
        assert papers.figures(config(evaluation={"follow": False})) == ["typhon_4"]
        assert papers.figures(config(methods=["joint"])) == []

    def test_a_figure_reads_its_methods_in_its_own_order(self):
        two = config(methods=["classical", "typhon"], seeds=[0])
        assert papers.figure_runs(two, "typhon_5") == [
            "results/typhon/fold0/seed0", "results/classical/fold0/seed0",
        ]  # fmt: skip
        assert papers.figure_files(two, "typhon_4") == ["results/typhon/fold0/seed0/history.csv"]
        assert papers.figure_files(two, "thesis_5_7") == [
            "results/classical/fold0/seed0/predictions.csv", "results/classical/fold0/seed0/best/predictions.csv",
        ]  # fmt: skip
        assert papers.figure_results(two, "thesis_5_7") == ["results/classical_auc.json"]

    def test_published_logs_are_shown_where_the_config_names_them(self):
        named = config(published="logs")
        assert papers.figure_published(named, "hydra_4b") == ["published/hydra/history.csv"]
        assert (
            papers.figure_published(config(), "hydra_4b") == papers.figure_published(named, "typhon_4") == []
        )
        assert papers.table_published(named, "transfer_log") == [
            "published/hydra/history.csv", "published/transfer/history.csv",
        ]  # fmt: skip
        assert papers.table_published(named, "typhon_1") == []

    def test_a_table_reads_the_methods_that_stand_in_it(self):
        several = config(methods=["typhon", "joint", "classical"], seeds=[0])
        assert papers.table_results(several, "typhon_2") == [
            "results/typhon_auc.json", "results/classical_auc.json",
        ]  # fmt: skip
        assert list(json.loads(papers.table_phases(several, "typhon_2"))) == ["typhon", "classical"]
        assert papers.table_challenge(several, "typhon_2") == []
        assert papers.target_kind(several) == "prostatex"
        assert papers.target_kind(config("demo")) == "phantom"


SEARCH = {
    "search": {"method": "typhon", "grid": {"training.learning_rate": [1e-3, 1e-4, 1e-5]}},
    "seeds": [0],
}


class TestSearch:
    def test_it_reads_every_candidate_but_those_to_skip(self):
        found = config(**copy.deepcopy(SEARCH) | {"search": {**SEARCH["search"], "skip": [1]}})
        assert search.predictions(found, "typhon") == [
            f"results/search/typhon/candidate{number}/fold0/seed0/predictions.csv" for number in (0, 2)
        ]
        assert search.items(found) == [
            f"results/search/typhon/{name}" for name in ("candidates.csv", "best.yaml", "candidates.png")
        ]

    def test_a_candidate_trains_with_its_settings_from_the_start_of_its_method(self):
        found = config(**copy.deepcopy(SEARCH))
        rates = [
            training.phases(found, f"search/typhon/candidate{number}")[0]["learning_rate"]
            for number in range(3)
        ]
        assert rates == [1e-3, 1e-4, 1e-5]
        assert start.start(found, "search/typhon/candidate2", "0", "0") == (
            "results/typhon/fold0/seed0/bootstrap/network.safetensors"
        )

    def test_a_grid_that_leaves_out_a_phase_keeps_the_start_of_the_method(self):
        grid = {"specialization.epochs": [0, 1]}
        found = config(search={"method": "typhon", "grid": grid})
        assert [len(training.phases(found, f"search/typhon/candidate{number}")) for number in (0, 1)] == [
            1,
            2,
        ]
        assert start.start(found, "search/typhon/candidate0", "0", "0") == (
            "results/typhon/fold0/seed0/bootstrap/network.safetensors"
        )

    def test_without_one_it_is_told(self):
        with pytest.raises(ConfigError) as error:
            search.items(config())
        assert str(error.value).startswith("E-CONFIG search/method: expected a method, found nothing")


class TestEffects:
    def test_one_that_trains_alone_borrows_data_and_start_and_one_of_data_makes_its_own(self):
        assert effects.borrowed(config("demo"), "loss") == "--borrows --start ."
        assert effects.borrowed(config("demo"), "frozen") == "--borrows --start effects/hydra"
        assert effects.borrowed(config("demo"), "bootstrap_rule") == "--borrows"
        assert effects.borrowed(config("demo"), "extent") == ""

    def test_each_waits_for_whose_start_it_has(self):
        assert effects.before(config("demo"), "typhon") == ["results/typhon_auc.json"]
        assert effects.before(config("demo"), "loss") == ["results/effects/typhon.json"]
        assert effects.before(config("demo"), "extent") == effects.before(config("demo"), "hydra") == []

    def test_the_table_shows_those_that_change_something_and_what_they_stand_beside(self):
        assert effects.measured(config("paper")) == [
            f"results/effects/{name}.json" for name in ("typhon", "hydra", "learning_rate", "watch")
        ]


class TestAdaptor:
    def test_a_function_gets_the_wildcards_that_it_names(self):
        planned = asks(config(seeds=[2]))
        wildcards = {"method": "typhon", "fold": "0", "dataset": "none of its business"}
        assert planned(training.files, name="run.json")(wildcards) == ["results/typhon/fold0/seed2/run.json"]
        assert untracked(planned(data.kind))({"dataset": "brain"}, object()) == "brain"

    def test_what_a_user_can_mend_ends_the_run_with_its_line(self):
        with pytest.raises(SystemExit) as end:
            asks(config())(challenge.file, name="patches.h5")({"method": "typhon"})
        assert str(end.value.code).startswith("E-CONFIG challenge: ")

    def test_a_bug_of_ours_does_not(self):
        with pytest.raises(KeyError, match="nothing"):
            asks(config())(data.kind)({"dataset": "nothing"})

    def test_a_retry_gets_as_much_memory_again(self):
        assert memory(2000)(None, None, 2) == 4000

    def test_memory_grows_with_the_input_and_waits_until_it_is_there(self, tmp_path):
        files = [tmp_path / "a", tmp_path / "b"]
        files[0].write_bytes(bytes(2**20))
        with pytest.raises(FileNotFoundError):  # which Snakemake takes for "to be determined"
            memory(1500, 1.5)(None, files, 1)
        files[1].write_bytes(bytes(2**20))
        assert memory(1500, 1.5)(None, files, 1) == 1503
