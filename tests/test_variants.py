"""A method under a name of its own: what it changes, what it shares, and what it may not be."""

import copy

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.provenance import ROOT
from workflow import variants
from workflow.config import checked
from workflow.plan import baselines, search, start, targets, training

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
SLOW = {"method": "typhon", "hyperparameters": {"typhon": {"training": {"learning_rate": 1e-5}}}}
PAPER = {"method": "typhon", "bootstrap": {"rule": "paper"}}


def config(**more):
    return checked(copy.deepcopy(CONFIG | more))


class TestSettings:
    def test_a_variant_has_those_of_the_config_but_for_what_it_changes(self):
        both = config(variants={"slow": SLOW}, methods=["typhon", "slow"])
        usual, slow = (training.phases(both, name) for name in ("typhon", "slow"))
        assert [phase["learning_rate"] for phase in usual] == [3e-4, 9e-5]
        assert [phase["learning_rate"] for phase in slow] == [1e-5, 9e-5]
        assert [phase["batch_size"] for phase in slow] == [8, 64]
        assert training.setting(both, "slow", "evaluation/every") == 100
        assert both["hyperparameters"]["typhon"]["training"]["learning_rate"] == 3e-4

    def test_they_get_the_types_and_defaults_that_they_would_have_in_the_config(self):
        steps = {
            "training": {"learning_rate": "1e-5"},
            "specialization": {"schedule": {"kind": "plateau", "factor": 0.1, "patience": 2}},
        }
        found = config(variants={"slow": {"method": "typhon", "hyperparameters": {"typhon": steps}}})
        first, last = training.phases(found, "slow")
        assert first["learning_rate"] == 1e-5
        plain = config(hyperparameters={"typhon": {**CONFIG["hyperparameters"]["typhon"], "specialization": {
            **CONFIG["hyperparameters"]["typhon"]["specialization"], "schedule": {"kind": "plateau", "factor": 0.1, "patience": 2}}}})  # fmt: skip
        assert last["schedule"] == training.phases(plain, "typhon")[1]["schedule"]
        assert checked(copy.deepcopy(found)) == found

    def test_a_baseline_has_variants_too(self):
        found = config(variants={"wide": {"method": "adc", "hyperparameters": {"adc": {"radius": 9}}}})
        assert variants.names(found, ["logistic", "adc"]) == ["adc", "logistic", "wide"]
        assert baselines.options(found, "wide", {}) == "--radius 9"
        assert training.base(found, "wide") == "adc"
        assert "wide" not in variants.networks(found)


class TestStart:
    def test_it_is_that_of_the_method_unless_random_networks_are_scored_otherwise(self):
        found = config(variants={"slow": SLOW, "published": PAPER})
        assert (
            start.start(found, "slow", "0", "1") == "results/typhon/fold0/seed1/bootstrap/network.safetensors"
        )
        own = "results/published/fold0/seed1/bootstrap/network.safetensors"
        assert start.start(found, "published", "0", "1") == own

    def test_in_a_comparison_it_is_that_of_all(self):
        found = config(variants={"slow": SLOW, "published": PAPER}, methods=["typhon", "slow", "published"])
        assert start.sharing(found) == ["typhon", "slow"]
        assert start.start(found, "slow", "0", "1") == "results/bootstrap/fold0/seed1/network.safetensors"
        own = "results/published/fold0/seed1/bootstrap/network.safetensors"
        assert start.start(found, "published", "0", "1") == own

    def test_guessing_alone_is_its_own_search(self):
        few = {"method": "rwg", "hyperparameters": {"rwg": {"candidates": 7}}}
        found = config(variants={"few": few})
        assert start.random_networks(found, "few") == 7
        own = "results/few/fold0/seed1/bootstrap/network.safetensors"
        assert start.start(found, "few", "0", "1") == own


def test_one_with_another_target_is_a_source_that_others_begin_with():
    usual = {"network": "papers", "weights": "random"}
    source = {"method": "finetune", "target": "brain", "hyperparameters": {"finetune": usual}}
    tuned = {"method": "finetune",
             "hyperparameters": {"finetune": {"network": "papers", "weights": "results/source"}}}  # fmt: skip
    found = config(variants={"source": source, "tuned": tuned}, methods=["tuned"])
    assert [phase["datasets"] for phase in training.phases(found, "source")] == [["brain"]]
    assert training.target(found, "source") == "brain"
    assert training.stores(found, "source") == ["<data>/brain/patches.h5"]
    assert [phase["datasets"] for phase in training.phases(found, "tuned")] == [["prostatex"]]
    assert start.weights_files(found, "tuned", "0", "3") == [
        "results/source/fold0/seed3/model.safetensors", "results/source/fold0/seed3/seen.json"
    ]  # fmt: skip
    for key, names in (("methods", ["source"]), ("curve", {"methods": ["source"]})):
        with pytest.raises(
            ConfigError, match=f"{key}.*: expected methods whose target is prostatex, and this"
        ):
            config(variants={"source": source}, **{key: names})


def test_a_variant_is_compared_as_a_method_is_and_cited_as_its_own():
    found = config(variants={"slow": SLOW}, methods=["typhon", "slow"], seeds=[0])
    assert targets.results(found) == ["results/typhon_auc.json", "results/slow_auc.json"]
    assert "results/slow/curves.png" in targets.figures(found)
    assert targets.cited(found)[:2] == ["typhon", "prostatex"]


def test_candidates_of_a_search_are_variants_made_by_the_program():
    grid = {"training.dropout": [0.1, 0.2], "specialization.epochs": [5]}
    found = config(search={"method": "typhon", "grid": grid}, seeds=[0])
    second = variants.of_search(found)["search/typhon/candidate1"]
    assert second.method == "typhon"
    assert second.changes == {
        "hyperparameters": {"typhon": {"training": {"dropout": 0.2}, "specialization": {"epochs": 5}}}
    }
    assert variants.networks(found)[-2:] == ["search/typhon/candidate0", "search/typhon/candidate1"]
    assert len(search.predictions(found, "typhon")) == 2


@pytest.mark.parametrize(
    ("name", "variant", "said"),
    [
        ("slow", {"method": "thypon"}, "E-CONFIG variants/slow/method: expected a method, found thypon"),
        ("slow", {}, "E-CONFIG variants/slow/method: expected a method, found None"),
        ("hydra", SLOW, "E-CONFIG variants/hydra: expected no name that"),
        ("search", SLOW, "E-CONFIG variants/search: expected no name that"),
        ("a/b", SLOW, "E-CONFIG variants: expected text, like prostatex, found a/b"),
        ("other", {"method": "typhon", "split": {"kind": "folds"}}, "E-CONFIG variants/other/split: expected keys"),
        ("x", {"method": "finetune", "weights": "random"}, "E-CONFIG variants/x/weights: expected variants/x/hyperparameters/finetune/weights"),
        ("slow", {"method": "typhon", "training": {"lost": "l1"}},
         "E-CONFIG variants/slow/training/lost: found an unknown key; did you mean loss?"),
        ("slow", {"method": "typhon", "hyperparameters": {"typhon": {"training": {"dropout": 2}}}},
         "E-CONFIG variants/slow/hyperparameters/typhon/training/dropout: expected number"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(name, variant, said):
    with pytest.raises(ConfigError) as error:
        config(variants={name: variant})
    assert str(error.value).startswith(said)


def test_a_method_that_is_no_variant_either_is_told():
    with pytest.raises(ConfigError, match="did you mean slow"):
        config(variants={"slow": SLOW}, methods=["slwo"])
