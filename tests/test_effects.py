"""What each published way changes: the list is whole, variants differ in one key, and the table says so."""

import json
import re
import subprocess

import pytest
import yaml
from snakemake.utils import update_config

from pipeline.provenance import ROOT
from tests.test_workflow import DEMO, bare_project, plan, snakemake
from workflow import effects
from workflow.config import checked, schema
from workflow.config.collections import KINDS
from workflow.effects import measure, tabulate

PUBLISHED = ("paper", "head", "mixed")
"""Values that stand for a published way."""


NAMES = {"challenge", "target", "hyperparameters/*/*"}
"""Keys whose pattern takes any word."""


def config(*files, **more):
    """The config of these files over config.yaml, defaults filled in."""
    filled = {}
    for name in ("config", *files):
        update_config(filled, yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))
    update_config(filled, more)
    return checked(filled)


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def general(path):
    """A key without the names of a data set, or of a method and its step."""
    names = {"collections": 1, "hyperparameters": 2}.get(path[0], 0)
    return "/".join([path[0], *["*"] * names, *path[1 + names :]])


def schema_keys(part, path=()):
    """Every key of the schema that takes the value paper."""
    part = schema.resolve(part)
    if "paper" in part.get("enum", ()) or ("pattern" in part and re.match(part["pattern"], "paper")):
        yield path
    for name, child in part.get("properties", {}).items():
        yield from schema_keys(child, (*path, name))
    if path == ("collections",):
        for kind in KINDS:
            yield from schema_keys(schema.load()["$defs"][kind], (*path, kind))


class TestList:
    def test_every_key_that_takes_the_value_paper_has_its_effect(self):
        allowed = {general(path) for path in schema_keys(schema.load())}
        allowed -= NAMES
        assert {"collections/*/extent", "training/loss", "hyperparameters/*/*/schedule/watch"} <= allowed
        changes = [entry["changes"] for entry in effects.load()["effects"].values()]
        covered = {general(path) for tree in changes for path, value in leaves(tree) if value == "paper"}
        assert covered == allowed

    def test_every_published_way_of_the_paper_s_config_has_its_effect(self):
        paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
        changes = [entry["changes"] for entry in effects.load()["effects"].values()]
        covered = {(general(path), value) for tree in changes for path, value in leaves(tree)}
        wanted = {(general(path), value) for path, value in leaves(paper) if value in PUBLISHED}
        assert len(wanted) == 15
        assert wanted <= covered

    def test_a_variant_has_the_experiment_s_patches_and_network(self):
        """What it does without is named here, so that a new key of the config has to be thought of."""
        demo = {**config("demo"), "patch": 80}
        assert checked(effects.variant(demo, "typhon"))["patch"] == 80
        without = {
            "accept_download", "challenge", "covariates", "curve", "data", "download", "external", "log", "operating", "published", "raw", "robustness", "search", "subgroups",
            "truth", "variants", "leave_one_out",
        }  # fmt: skip
        adapted = {"collections", "comparison", "hyperparameters", "methods"}
        assert set(checked(demo)) - set(effects.KEPT) - {"phantom"} == without | adapted

    @pytest.mark.parametrize("name", effects.load()["effects"])
    def test_each_effect_is_a_valid_config_that_differs_from_its_base_in_one_key(self, name):
        demo = config("demo")
        made = checked(effects.variant(demo, name))
        base = checked(effects.variant(demo, effects.method(name)))
        changed = {general(path) for path, value in leaves(made) if dict(leaves(base)).get(path) != value}
        assert len(changed) == 1
        assert effects.changed(demo, name)
        assert json.loads(json.dumps(made["hyperparameters"][effects.method(name)]))


class TestVariants:
    def test_what_is_so_already_or_not_there_changes_nothing(self):
        everything = list(effects.load()["effects"])
        assert effects.wanted(config("demo")) == everything
        # There rates are given by data set, and both sides of watch have the schedule of their base.
        assert effects.wanted(config("paper")) == ["learning_rate", "watch"]
        brain = config("demo", datasets=["brain"], target="brain")
        assert effects.wanted(brain) == [name for name in everything if name != "slice_rule"]

    def test_a_kind_stands_for_all_its_data_sets(self):
        two = config(
            collections={"mine": {"kind": "brain", "extent": "whole"}},
            datasets=["brain", "mine"],
            target="mine",
        )
        assert effects.changed(two, "extent") == {
            "collections/brain/extent": ("15/56 side", "paper"), "collections/mine/extent": ("whole", "paper"),
        }  # fmt: skip

    def test_several_splits_stand_beside_the_one_that_was_published(self):
        repeats = config(split={"kind": "repeats", "n": 10})
        assert effects.changed(repeats, "split") == {"split/kind": ("repeats", "paper"), "split/n": (10, 1)}

    def test_training_borrows_the_data_and_data_are_made_from_the_raw_folders(self):
        demo = config("demo", raw={}, data="../data")
        assert not effects.makes_data(demo, "loss")
        assert effects.makes_data(demo, "slice_rule")
        assert effects.makes_data(demo, "split")
        assert effects.located(demo, "loss")["data"] == "../../../data"
        located = effects.located(demo, "extent")
        assert located["data"] == "data"
        assert located["raw"]["brain"] == "../../../data/raw/brain"
        assert "phantom" not in located

    def test_a_start_is_shared_where_nothing_changes_it(self):
        demo = config("demo")
        shared = [name for name in effects.names() if effects.shares_start(demo, name)]
        assert shared == [
            "learning_rate", "loss", "batch_norm", "frozen", "handover", "zero_dropout", "selection", "watch",
        ]  # fmt: skip

    def test_absolute_folders_stay_what_they_are(self):
        here = config(raw={"prostatex": "/scans"}, data="/stores")
        assert effects.located(here, "extent")["raw"] == {
            "prostatex": "/scans", "lungx": "/stores/raw/lungx", "brain": "/stores/raw/brain",
        }  # fmt: skip
        assert effects.located(here, "loss")["data"] == "/stores"

    @pytest.mark.parametrize("name", effects.names())
    def test_located_configs_are_valid_whatever_else_is_in_the_config(self, name):
        more = {"methods": ["classical", "typhon"], "comparison": {"reference": "classical"}}
        assert checked(json.loads(json.dumps(effects.located(config("demo", **more), name))))["seeds"] == [0]

    def test_the_base_of_typhon_is_the_run_itself(self):
        assert effects.is_own("typhon")
        assert effects.folder("typhon") == "."
        assert not effects.is_own("hydra")
        assert effects.folder("loss") == "effects/loss"


class TestPlan:
    def test_every_effect_and_what_it_stands_beside_are_measured_once(self, tmp_path):
        project = bare_project(tmp_path)
        rules = plan(project, *DEMO, "effects")
        assert rules["measure_effect"] == len(effects.names())
        assert rules["train_model"] == rules["build_patches"] / 3 == rules["tabulate_effects"] == 1
        assert "measure_effect" not in plan(project, *DEMO)
        no_test = ("--config", "split={kind: all}", "bootstrap={data: paper}", "challenge=p", "datasets=[prostatex]",
                   "collections={p: {kind: prostatex, part: test, extent: 65 mm}}")  # fmt: skip
        printed = snakemake(project, *DEMO, *no_test, "-n", "effects", status=1)
        assert "E-CONFIG split/kind: expected a kind that leaves findings to test" in printed


def measured(scores, labels, *, patients="abcd", start=3, loss=0.5, moved=0.1):
    """A variant with one run."""
    rows = [
        {
            "fold": 0,
            "seed": 0,
            "patient_id": p,
            "group_id": p,
            "finding_id": "1",
            "label": label,
            "score": score,
        }
        for p, label, score in zip(patients, labels, scores, strict=True)
    ]
    return {"target": "t", "start": [start], "loss": loss, "moved": moved, "findings": rows}


ENTRY = {"base": "typhon", "changes": {"training/loss": ["logits", "paper"]}}


class TestTable:
    def test_the_difference_is_paper_less_right_on_the_same_findings(self):
        # right: all 4 pairs in order; paper: .4 is below .6, so 3 of 4
        right = measured([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
        paper = measured([0.1, 0.6, 0.4, 0.9], [0, 0, 1, 1], loss=0.75)
        row = tabulate.row("loss", ENTRY, right, paper)
        assert (row["key"], row["right"], row["paper"], row["method"]) == (
            "training/loss",
            "logits",
            "paper",
            "typhon",
        )
        assert (row["AUROC right"], row["AUROC paper"], row["difference"]) == (1.0, 0.75, -0.25)
        assert row["95 %"] == (-1, 1)  # two patients of either label say nothing
        assert row["scores"] == pytest.approx((0 + 0.4 + 0.4 + 0) / 4)
        assert row["besides"] == "training loss 0.7500 (0.5000)"

    def test_other_findings_are_not_subtracted(self):
        right = measured([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
        paper = measured([0.1, 0.6, 0.4, 0.9], [0, 0, 1, 1], patients="abcx", start=4)
        row = tabulate.row("split", ENTRY, right, paper)
        assert row["difference"] is row["95 %"] is row["scores"] is None
        assert row["AUROC paper"] == 0.75
        assert row["besides"] == "other test findings; start 4 (3)"

    def test_one_class_has_its_reason(self):
        right = measured([0.1, 0.2, 0.8, 0.9], [1, 1, 1, 1])
        row = tabulate.row("loss", ENTRY, right, right)
        assert row["AUROC right"] is None
        assert row["besides"] == "a test set holds one class"

    def test_several_keys_are_one_where_they_are_alike(self):
        changes = {"collections/a/extent": ["65 mm", "paper"], "collections/b/extent": ["whole", "paper"]}
        right = measured([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
        row = tabulate.row("extent", {"base": "typhon", "changes": changes}, right, right)
        assert (row["key"], row["right"], row["paper"]) == ("collections/*/extent", "65 mm, whole", "paper")

    def test_it_says_what_the_base_has_and_that_data_are_synthetic(self):
        notes = tabulate.notes(effects.described(config("demo")))
        assert notes[0].endswith("how much.")
        assert notes[-1].startswith(
            "Both sides of hydra have {evaluation: {every: 4}, hyperparameters: {hydra: "
        )
        assert not any("typhon" in note for note in notes)
        assert not tabulate.notes(effects.described(config()))[0].endswith("how much.")


def test_the_error_of_a_run_that_fails_is_said_in_its_own_words_once(tmp_path, monkeypatch, capsys):
    printed = (
        "Building DAG\nE-TEST x: expected a, found b; mend it\nmore\nE-TEST x: expected a, found b; mend it\n"
    )
    failed = subprocess.CompletedProcess([], 1, stdout=printed)
    monkeypatch.setattr(measure.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match="logs are in"):
        measure.run_again(tmp_path, {"methods": ["typhon"]}, cores=1, gpu=0)
    assert capsys.readouterr().err == "E-TEST x: expected a, found b; mend it\n"


def test_a_config_that_does_not_fit_ends_it_before_any_job(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "no/such/profile")
    with pytest.raises(SystemExit):
        measure.run_again(tmp_path, {"sedes": [0], "methods": ["typhon"]}, cores=1, gpu=0)
    assert capsys.readouterr().err == "E-CONFIG sedes: found an unknown key; did you mean seeds?\n"
