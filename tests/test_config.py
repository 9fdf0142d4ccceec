import copy
import json
import pickle
import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.errors import ConfigError
from pipeline.provenance import ROOT
from workflow import table
from workflow.config import check_file, checked, nearest, schema

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def changed(path, value):
    """The default config with one key changed; the keys of the path are made where they are missing."""
    config = copy.deepcopy(CONFIG)
    part = config
    *parents, last = path.split("/")
    for parent in parents:
        part = part.setdefault(parent, {})
    part[last] = value
    return config


def merge(base, over):
    """As Snakemake lays one config over another."""
    for key, value in over.items():
        base[key] = (
            merge(base.get(key, {}), value)
            if isinstance(value, dict) and isinstance(base.get(key), dict)
            else value
        )
    return base


@pytest.mark.parametrize(
    "name",
    [
        "config",
        "paper",
        "thesis",
        "demo",
        "three-sets",
        "comparison",
        "demo-all",
        "multitask-pathology",
        "targeted-transfer",
        "demo-chest",
    ],
)
def test_every_config_file_is_valid(name):
    check_file(ROOT / "config" / f"{name}.yaml")
    checked(merge(copy.deepcopy(CONFIG), yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())))


def with_paper(properties, value):
    """Paths of the keys below ``properties`` that may be ``paper``, with what ``value`` has there."""
    for name, child in properties.items():
        part = schema.resolve(child)
        if "paper" in part.get("enum", ()):
            yield name, value.get(name)  # one of a schedule may be left out
        elif "properties" in part and isinstance(value.get(name), dict):
            yield from (
                (f"{name}/{path}", found) for path, found in with_paper(part["properties"], value[name])
            )


def test_the_published_config_sets_every_key_to_paper_that_can_be():
    published = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
    config = checked(merge(copy.deepcopy(CONFIG), published))
    found = dict(with_paper(schema.load()["properties"], config))
    for name, collection in config["collections"].items():
        keys = with_paper(schema.load()["$defs"][collection["kind"]]["properties"], collection)
        found |= {f"{name}/{path}": value for path, value in keys}
    # How a mapping watches a plateau is said in the phase that has one.
    watching = config["hyperparameters"]["hydra"]["last_head"]["schedule"]["watch"]
    assert {path for path, value in found.items() if value != "paper" and "/schedule/" not in path} == set()
    assert {"split/kind", "training/loss", "bootstrap/rule", "prostatex/slice_rule"} <= found.keys()
    assert watching == "paper"


def test_defaults_are_filled_in_at_every_depth():
    config = checked({"datasets": ["a"], "target": "a", "collections": {"a": {"kind": "prostatex"}}})
    assert config["collections"]["a"]["extent"] == "65 mm"
    assert config["collections"]["a"]["window"] is None
    assert config["split"] == {
        "kind": "holdout", "column": None, "n": 1, "validation": 0.2, "test": 0.2, "evaluation": "all", "seed": 0,
    }  # fmt: skip
    assert config["hyperparameters"]["typhon"]["specialization"]["learning_rate"] == 3e-4
    assert "phantom" not in config


def test_filled_defaults_do_not_leak_into_the_next_config():
    checked(copy.deepcopy(CONFIG))["raw"]["prostatex"] = "elsewhere"
    assert checked(copy.deepcopy(CONFIG))["raw"] == {}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sedes", [0], "E-CONFIG sedes: found an unknown key; did you mean seeds?"),
        (
            "bootstrap/candidate",
            5,
            "E-CONFIG bootstrap/candidate: found an unknown key; did you mean candidates?",
        ),
        (
            "collections/brain/extend",
            "whole",
            "collections/brain/extend: found an unknown key; did you mean extent?",
        ),
        (
            "collections/brain/slice_rule",
            "paper",
            "collections/brain/slice_rule: found an unknown key; there are",
        ),
        (
            "collections/brain/kind",
            "brains",
            "collections/brain/kind: expected .* found brains; did you mean brain?",
        ),
        (
            "views",
            247,
            "E-CONFIG views: expected integer, at least 1, at most 246, found 247; views .rotated",
        ),
        ("views", "many", "E-CONFIG views: expected integer, .* found many"),
        ("views", True, "E-CONFIG views: expected integer, .* found true"),
        ("seeds", [], "E-CONFIG seeds: expected list of integer, .*length at least 1, found \\[\\]"),
        ("seeds", [1, 1], "E-CONFIG seeds: expected .* found \\[1, 1\\]"),
        ("methods", ["tyfon"], "E-CONFIG methods: expected known methods, found tyfon; did you mean typhon?"),
        (
            "evaluation/state",
            "bets",
            "evaluation/state: expected last or best, found bets; did you mean best?",
        ),
        ("datasets", ["prostatex", "../brain"], "datasets/1: expected text, like prostatex, found ../brain"),
        (
            "collections/brain/extent",
            "65 miles",
            "collections/brain/extent: expected text, like 65 mm, found 65 miles",
        ),
        ("collections/brain/extent", "0.0 mm", "extent: expected text, like 65 mm, found 0.0 mm"),
        ("collections/brain/extent", "1/0 width", "extent: expected text, like 65 mm, found 1/0 width"),
        ("collections/brain/extent", "1.5/2 width", "extent: expected text, like 65 mm, found 1.5/2 width"),
        (
            "hyperparameters/typhon/training/learning_rate",
            0,
            "expected number or mapping or find, above 0, .* found 0",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_was_expected(path, value, message):
    with pytest.raises(ConfigError, match=message.replace("?", "\\?")):
        checked(changed(path, value))


def test_all_slips_of_one_kind_are_told_at_once():
    lines = ["E-CONFIG sedes: found an unknown key; did you mean seeds?", "E-CONFIG views: expected integer"]
    with pytest.raises(ConfigError) as told:
        checked(changed("views", "many") | {"sedes": [0]})
    assert [
        line[: len(start)] for line, start in zip(str(told.value).splitlines(), lines, strict=True)
    ] == lines
    names = {"methods": ["tyfon"], "target": "lung", "raw": {"brian": "x"}}
    with pytest.raises(ConfigError) as told:
        checked(CONFIG | names)
    assert [line.split(":")[0] for line in str(told.value).splitlines()] == [
        "E-CONFIG methods", "E-CONFIG target", "E-CONFIG raw/brian"
    ]  # fmt: skip
    variant = {"variants": {"mine": {"method": "typhon", "bootstrap": {"candidate": 1, "view": 2}}}}
    with pytest.raises(ConfigError) as told:
        checked(CONFIG | variant)
    starts = [line.split(":")[0] for line in str(told.value).splitlines()]
    assert starts == [f"E-CONFIG variants/mine/bootstrap/{key}" for key in ("candidate", "view")]
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value), "it comes out of a process pool"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("target", "lung", "target: expected one of datasets, found lung; did you mean lungx\\?"),
        (
            "datasets",
            ["prostatex", "lungs"],
            "datasets: expected an entry in collections, found lungs; did you mean lungx",
        ),
        ("raw", {"brian": "x"}, "raw/brian: found an unknown data set; did you mean brain"),
        ("evaluation_views", 12, "evaluation_views: expected at most views, which is 11, found 12"),
        ("bootstrap/views", 12, "bootstrap/views: expected at most views, which is 11, found 12"),
        (
            "comparison/reference",
            "tiphon",
            "comparison/reference: expected one of methods, found tiphon; did you mean typhon\\?",
        ),
        ("split", {"kind": "folds", "n": 2}, "split/n: expected at least 3 folds.*, found 2"),
        ("collections/Raw", {"kind": "brain"}, "a data set called raw"),
        (
            "challenge",
            "Lungx",
            "datasets: expected names that differ in more than case: .*, found lungx and Lungx",
        ),
        ("split", {"kind": "holdout", "n": 2}, "split/n: expected 1 for a holdout, found 2"),
        ("split", {"kind": "sites", "column": "a"}, "split/n: expected at least 2 sites"),
        ("split", {"kind": "given"}, "split/column: expected for kind given a column of the target's table"),
        ("split", {"column": "a"}, "split/column: expected kind given or sites beside it, found a"),
        (
            "split",
            {"kind": "given", "column": "a"},
            "split/kind: expected another kind: the target has no table",
        ),
        (
            "split",
            {"kind": "official"},
            "split/kind: expected a target with lists of its own: chestxray14.*, found official, and a target of",
        ),
        ("split", {"validation": 0.5, "test": 0.5}, "split: expected something left for training"),
        (
            "collections/lungx/window",
            [200, -1400],
            "collections/lungx/window: expected the lower value first",
        ),
        (
            "hyperparameters/typhon/training/learning_rate",
            {"brain": 1e-3},
            "learning_rate/prostatex: expected a learning rate",
        ),
        (
            "hyperparameters/typhon/specialization/learning_rate",
            {"prostatex": 1e-3, "brian": 1e-3},
            "learning_rate/brian: found an unknown data set; did you mean brain",
        ),
        (
            "collections/mine",
            {"kind": "table"},
            "collections/mine: expected either table or folders, found both or none",
        ),
        (
            "collections/mine",
            {"kind": "table", "folders": {"a": 1, "b": 1}},
            "collections/mine/folders: expected both labels, 0 and 1",
        ),
        (
            "collections/mine",
            {"kind": "table", "folders": {"a": 0, "b": 1}, "patient_pattern": "^.{8}"},
            "collections/mine/patient_pattern: expected one group",
        ),
        (
            "collections/mine",
            {"kind": "table", "folders": {"a": 0, "b": 1}, "labels": {"a": 0, "b": 1}},
            "collections/mine/labels: expected a table beside it, found folders",
        ),
        (
            "collections/mine",
            {"kind": "table", "folders": {"a": 0, "b": 1}, "columns": {"image": "file"}},
            "collections/mine/columns: expected a table beside it, found folders",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "labels": {"a": 0, "b": 0}},
            "collections/mine/labels: expected both labels, 0 and 1",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "labels": {"a": 0}},
            "collections/mine/labels: expected both labels, 0 and 1",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "labels": {"a": 0, "M": 1, "m ": 0}},
            "collections/mine/labels/m : expected one of them, found 0 and 1 for one word in two spellings",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "labels": {"a": 0, "b": 2}},
            "collections/mine/labels: expected classes counted from 0, none left out, found",
        ),
        (
            "collections/mine",
            {
                "kind": "table",
                "table": "a.csv",
                "label_columns": ["a", "b"],
                "labels": {"x": 0, "y": 1, "z": 2},
            },
            "collections/mine/labels: expected both labels, 0 and 1, found",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "label_columns": ["a", "a"]},
            "collections/mine/label_columns: expected list of text .*, each once, found",
        ),
        (
            "collections/mine",
            {"kind": "table", "folders": {"a": 0, "b": 1}, "label_columns": ["a", "b"]},
            "collections/mine/label_columns: expected a table beside it, found folders",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "columns": {"images": "file"}},
            "collections/mine/columns/images: found an unknown name; did you mean image",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "columns": {"true": "file"}},
            "collections/mine/columns/true: found an unknown name; did you mean",
        ),
        (
            "collections/mine",
            {"kind": "table", "table": "a.csv", "columns": {"image": 7}},
            "collections/mine/columns/image: expected text, .*found 7; put it in quotes",
        ),
        (
            "collections/mine",
            {"kind": "table", "folders": {"a": 0, "b": 1}, "patient_pattern": "("},
            "collections/mine/patient_pattern: expected a regular expression",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_named(path, value, message):
    config = changed(path, value)
    if "views" in path:
        config["views"] = config["majority_views"] = 11
    with pytest.raises(ConfigError, match=message):
        checked(config)


TWO = {"target": "prostatex", "collections": {"prostatex": {"channels": ["t2", "dwi"]}}}


@pytest.mark.parametrize(
    ("methods", "over", "message"),
    [
        (["probe"], TWO, None),
        (["probe", "typhon"], TWO | {"network": "efficientnet_lite0", "datasets": ["prostatex"]}, None),
        (["logistic", "probe"], {"encoders": {"lite0": {"side": 31}}},
         "encoders/lite0/side: expected at least 32, .*efficientnet_lite0 takes, found 31"),
        (["probe"], {"encoders": {"lite0": {"side": None}}, "patch": 20},
         "patch: expected at least 32, .* found 20"),
        (["probe"], {"encoders": {"lite0": {"side": 160}}, "patch": 20}, None),
        (["auto"], TWO, None),
        (["auto"], {"hyperparameters": {"auto": {"candidates": ["lite0", "radiomic"]}}},
         "hyperparameters/auto/candidates: expected one of encoders, found radiomic; did you mean radiomics"),
        (["probe_svm"], {"hyperparameters": {"probe_svm": {"encoder": "lite"}}},
         "hyperparameters/probe_svm/encoder: expected one of encoders, found lite; did you mean lite0"),
        (["typhon"], {"hyperparameters": {"probe_svm": {"encoder": "lite"}}}, None),
        (["typhon"], {"encoders": {"lite0": {}, "intensity": {}}},
         "encoders/intensity: expected another: it is measured as well, found an encoder of that name"),
        (["typhon"], {"patch": 35}, "patch: expected at least 36, .*papers takes, found 35"),
        (["adc", "logistic"], {"patch": 35}, None),
        (["probe"], {"encoders": {"lite0": {"network": "papers"}}},
         "encoders/lite0/weights: expected weights that papers has, found imagenet; use random"),
        (["probe"], {"encoders": {"lite0": {"network": "papers", "weights": "random"}}}, None),
        (["probe"], {"encoders": {"lite0": {"weights": "renamed"}}},
         "encoders/lite0/weights: expected weights that efficientnet_lite0 has, found renamed"),
    ],
)  # fmt: skip
def test_what_a_network_does_not_take_is_told_before_anything_is_made(methods, over, message):
    config = merge(copy.deepcopy(CONFIG), copy.deepcopy(over)) | {"methods": methods}
    if message is None:
        checked(config)
        return
    with pytest.raises(ConfigError, match=message):
        checked(config)


def test_the_usual_encoders_stand_beside_those_of_a_config_with_the_keys_that_it_does_not_set():
    own = {"mine": {"side": 224}, "lite0-96": {"views": 8}, "lite0-layers": {"side": 64}}
    found = checked(CONFIG | {"encoders": own})["encoders"]
    assert list(found) == ["lite0", "lite0-96", "lite0-layers", "mine"]
    assert found["lite0"] == checked(CONFIG)["encoders"]["lite0"]
    assert (found["lite0-96"]["side"], found["lite0-96"]["views"]) == (96, 8)
    assert (found["lite0-layers"]["features"], found["lite0-layers"]["side"]) == ("layers", 64)
    assert (found["mine"]["features"], found["mine"]["side"]) == ("last", 224)


@pytest.mark.parametrize("wrong", [["lite0"], {"lite0": 160}, {"lite0": {"sides": 160}}])
def test_encoders_that_are_none_are_told_as_any_other_value(wrong):
    with pytest.raises(ConfigError, match="encoders"):
        checked(CONFIG | {"encoders": wrong})


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("seeds", ["0", "1"], [0, 1]),  # as from --config seeds=[0,1]
        ("split/n", "1", 1),
        ("bootstrap/candidates", "5", 5),
        ("hyperparameters/typhon/training/learning_rate", "5e-7", 5e-7),  # as from a YAML file
        ("hyperparameters/typhon/specialization/learning_rate", {"prostatex": "1e-3"}, {"prostatex": 1e-3}),
        ("hyperparameters/typhon/training/batches", "null", None),
        ("collections/lungx/window", ["-1000", "400.5"], [-1000, 400.5]),
        ("data", "5", "5"),
    ],
)
def test_text_is_read_as_the_number_that_the_schema_wants(path, text, value):
    config = checked(changed(path, text))
    for key in path.split("/"):
        config = config[key]
    assert config == value


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("datasets", [7], "datasets/0: .*found 7"),
        ("target", False, "target: .*found false"),
        ("raw", {"brain": 2020}, "raw/brain: .*found 2020"),
        ("collections/mine", {"kind": "table", "table": 1.1}, "mine/table: .*found 1.1"),
        ("collections/mine", {"kind": "table", "patient_pattern": 0}, "mine/patient_pattern: .*found 0"),
        ("collections/mine", {"kind": "table", "licence": True}, "mine/licence: .*found true"),
    ],
)
def test_a_value_that_was_to_be_text_is_to_be_put_in_quotes(path, value, found):
    with pytest.raises(ConfigError, match=f"{found}; put it in quotes"):
        checked(changed(path, value))


@pytest.mark.parametrize("key", [0, 8, True, None, 1.5])
@pytest.mark.parametrize("path", ["collections/mine/folders", "raw", "hyperparameters"])
def test_keys_that_are_no_text_are_refused_wherever_they_come_from(path, key):
    with pytest.raises(ConfigError, match=f"the key {key}, which is no text; put it in quotes"):
        checked(changed(path, {key: 0, "other": 1}))


@pytest.mark.parametrize("text", ["2026-01-01", "2026-13-01", "[1", "{a: 1}", "no way"])
def test_text_that_stands_for_no_number_is_refused_as_it_was_written(text):
    with pytest.raises(
        ConfigError,
        match=re.escape(f"seeds/0: expected integer, at least 0, at most 4294967295, found {text}"),
    ):
        checked(changed("seeds", [text]))


def test_whole_numbers_among_fractions_stay_whole_and_1e2_is_a_hundred():
    config = checked(changed("collections/lungx/window", [-1000, 400]))
    assert str(config["collections"]["lungx"]["window"]) == "[-1000, 400]"
    assert str(config["hyperparameters"]["logistic"]["penalties"][4:]) == "[1, 10, 100]"
    assert (
        str(checked(changed("views", 100.0))["views"])
        == str(checked(changed("views", "1e2"))["views"])
        == "100"
    )
    with pytest.raises(ConfigError, match=r"views: expected integer, .*found 11\.5"):
        checked(changed("views", "11.5"))


def test_a_phantom_that_is_null_is_none():
    assert "phantom" not in checked(changed("phantom", None))


def test_text_of_the_command_line_that_yaml_would_read_as_another_number_is_no_number():
    with pytest.raises(ConfigError, match=r"seeds/0: expected integer, .*found 010"):
        checked(changed("seeds", ["010"]))


def test_no_word_is_near_enough_lists_them_all():
    assert nearest("zzz", ["views", "seeds"]) == "there are seeds, views"


class TestFile:
    def check(self, tmp_path, text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        check_file(path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "!!python/object/apply:os.system ['true']",
                "expected plain YAML, found could not determine a constructor",
            ),
            ("a: [", "expected plain YAML"),
            ("- a", "expected keys at the top level, found list"),
            ("__use_yte__: true\na: ?print()", "expected plain YAML, found the key __use_yte__; remove it"),
            ("a: " + "x" * 100_000, "expected at most 100000 bytes, found more"),
            ("a: 1\nb: {c: 2,\n  c: 3}", "expected plain YAML, found the key c twice, line 3"),
            ("a: 2026-13-01", "found 2026-13-01, to YAML no text but timestamp, line 1; put it in quotes"),
            ("a: " + "[" * 2_000, "expected plain YAML, found thousands of nested brackets"),
            ("a: .nan", "expected finite numbers, found nan"),
            ("a: &a [*a]", "over 10000 values; leave out nested YAML aliases"),
            ("raw: {a: 'x</ScRipt>'}", "found </ScRipt in 'x</ScRipt>'; rename it"),
            ("folders: {'<!--': 1}", "found <!-- in '<!--'; rename it"),
        ],
    )
    def test_what_is_no_plain_mapping_is_refused(self, tmp_path, text, message):
        with pytest.raises(ConfigError, match=re.escape(message)):
            self.check(tmp_path, text)

    @pytest.mark.parametrize(
        ("key", "kind"),
        [("00", "int"), ("010", "int"), ("0x1F", "int"), ("3", "int"), ("-1", "int"), ("1_0", "int"), ("12:30", "int"),
         ("no", "bool"), ("yes", "bool"), ("On", "bool"), ("FALSE", "bool"), ("null", "null"), ("~", "null"),
         ("1.0", "float"), (".5", "float"), (".inf", "float"), ("2020-01-02", "timestamp")],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "text",
        ["collections: {{mine: {{folders: {{{}: 0, other: 1}}}}}}", "raw:\n  {}: somewhere", "{}: 1",
         "collections:\n  mine:\n    labels:\n      B: 0\n      {}: 1", "a: &a {{{}: 1}}\nb: {{<<: *a}}",
         "datasets: [{{{}: 1}}]"],
    )  # fmt: skip
    def test_a_key_that_yaml_takes_for_no_text_is_refused_as_it_was_written(self, tmp_path, text, key, kind):
        found = f"found the key {key}, to YAML no text but {kind}, line "
        with pytest.raises(ConfigError, match=re.escape(found) + r"\d; put it in quotes$"):
            self.check(tmp_path, text.format(key))
        self.check(tmp_path, text.format(f"'{key}'"))

    @pytest.mark.parametrize(
        ("written", "read"),
        [("010", 8), ("007", 7), ("00", 0), ("-010", -8), ("0_7", 7), ("1:30", 90), ("1:30:00.5", 5400.5)],
    )
    @pytest.mark.parametrize("text", ["datasets: [{}]", "seeds:\n- {}", "patient_pattern: {}"])
    def test_digits_that_are_not_those_of_the_number_are_refused(self, tmp_path, text, written, read):
        with pytest.raises(
            ConfigError, match=f"found {written}, which YAML reads as {read}, line .; put it in quotes if"
        ):
            self.check(tmp_path, text.format(written))

    @pytest.mark.parametrize(
        "value", ["0", "-0", "10", "0x10", "1_000", "0.5", "00.5", "-3.0e-4", "true", "null"]
    )
    def test_plain_numbers_stay(self, tmp_path, value):
        self.check(tmp_path, f"a: {value}\nb: [{value}]")

    @pytest.mark.parametrize(
        "value", ["2020-01-02", "2020-01-02 03:04:05", "!!binary aaaa", "!!set {a, b}", "="]
    )
    def test_a_value_that_no_setting_can_have_is_refused(self, tmp_path, value):
        with pytest.raises(ConfigError, match=r"to YAML no text but .*put it in quotes"):
            self.check(tmp_path, f"licence: {value}")

    @pytest.mark.parametrize("pattern", [r"^\b(.{8})", r"(\e)", r"\0", r"\v", r"\N"])
    def test_an_escape_that_yaml_has_taken_away_is_refused(self, tmp_path, pattern):
        with pytest.raises(ConfigError, match=r"expected plain text, found .*in single quotes"):
            self.check(tmp_path, f'patient_pattern: "{pattern}"')
        self.check(tmp_path, f"patient_pattern: '{pattern}'")

    def test_nested_aliases_are_refused_without_being_unfolded(self, tmp_path):
        # 9 levels of 10 aliases are a thousand million values ("billion laughs").
        levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
        with pytest.raises(ConfigError, match="over 10000 values; leave out nested YAML aliases"):
            self.check(tmp_path, "\n".join(["a0: &a0 [x]", *levels]))

    def test_a_key_may_stand_once_in_each_of_two_mappings_and_over_a_merged_one(self, tmp_path):
        self.check(tmp_path, "a: &a {x: 1}\nb: {x: 2}\nc: {<<: *a, x: 3}")

    def test_a_device_without_an_end_is_not_read_to_its_end(self):
        with pytest.raises(ConfigError, match="expected at most 100000 bytes"):
            check_file("/dev/zero")

    def test_a_folder_is_no_config_file(self, tmp_path):
        with pytest.raises(ConfigError, match="expected a config file, found Is a directory"):
            check_file(tmp_path)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ConfigError, match=r"none\.yaml: expected a config file, found no such file"):
            check_file(tmp_path / "none.yaml")


WRONG = [
    ("sedes", [0]),
    ("views", 247),
    ("seeds", [1, 1]),
    ("split/kind", "fold"),
    ("collections/brain/slice_rule", "paper"),
    ("collections/brain/extent", "65 miles"),
    ("collections/a b", {"kind": "brain"}),
    ("hyperparameters/typhon/training/learning_rate", 0),
    ("hyperparameters/typhon/training/schedule", {"kind": "step"}),
]
"""Keys and values that both the checks and an editor refuse."""


GRADES = {"kind": "table", "table": "t.csv", "labels": {"normal": 0, "benign": 1, "malignant": 2}}
SIGNS = {"kind": "table", "table": "t.csv", "label_columns": ["mass", "nodule"]}
PLAIN = {"kind": "table", "table": "t.csv"}


@pytest.mark.parametrize(
    ("collections", "more", "message"),
    [
        ([GRADES], {"methods": ["adc"]}, r"methods: expected a target of two classes for it, found adc, and d0 of 3 classes"),
        ([GRADES], {"methods": ["rule"], "variants": {"rule": {"method": "adc"}}}, "expected a target of two classes for it, found rule"),
        ([GRADES], {"challenge": "late"}, "challenge: expected a target of two classes: .*, found late, and d0 of 3 classes .*; leave it out"),
        ([SIGNS], {"challenge": "late"}, "challenge: expected a target of two classes: .*, found late, and d0 of 2 labels"),
        ([SIGNS], {"training": {"loss": "paper"}}, "training/loss: expected logits, l1 or mse for labels, found paper, and d0 of 2 labels"),
        ([GRADES], {"training": {"selection": "recall"}}, "training/selection: expected one of loss, auroc, accuracy, found recall"),
        ([PLAIN, SIGNS], {"methods": ["hydra"], "training": {"selection": "accuracy"}, "hyperparameters": {"hydra": {"support": {"select": "best"}}}}, "training/selection: expected one of loss, auroc, found accuracy, and d1"),
        ([SIGNS], {"training": {"selection": "paper"}}, "training/selection: expected one of loss, auroc, found paper"),
        ([SIGNS], {"balance": "undersample"}, "balance: expected views for labels, found undersample"),
        ([SIGNS], {"split": {"kind": "paper"}}, "split/kind: expected another kind for labels"),
        ([GRADES, PLAIN], {"methods": ["pooled"]}, "methods/pooled/head: expected as many classes in data sets that share a head"),
        ([GRADES, GRADES | {"labels": {"benign": 0, "normal": 1, "cyst": 2}}], {}, "expected classes of one name in one order"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_the_classes_is_said_before_any_job(collections, more, message):
    names = [f"d{number}" for number in range(len(collections))]
    config = {
        "datasets": names,
        "target": "d0",
        "collections": {
            **dict(zip(names, collections, strict=True)),
            "late": {"kind": "prostatex", "part": "test"},
        },
        **more,
    }
    with pytest.raises(ConfigError, match=message):
        checked(config)


def test_more_classes_and_labels_train_together_with_two():
    checked({"datasets": ["a", "b", "c"], "target": "a", "methods": ["typhon", "hydra", "multitask", "probe", "logistic"],
             "collections": {"a": GRADES, "b": SIGNS, "c": PLAIN}, "training": {"selection": "loss"}})  # fmt: skip


class TestSchema:
    def parts(self):
        whole = schema.load()
        yield from table.rows(whole["properties"])
        for kind in ("prostatex", "lungx", "brain", "chestxray14", "chexpert", "mura", "table"):
            yield from table.rows(whole["$defs"][kind]["properties"], f"{kind}/")
        yield from table.rows(whole["$defs"]["Step"]["properties"], "step/")

    def test_every_key_has_a_description_and_a_default_unless_it_is_required(self):
        for path, part in self.parts():
            if path.endswith("/kind") and path not in ("split/kind", "step/schedule/kind"):
                continue
            assert part.get("description"), path
            required = path in ("datasets", "target", "collections", "step/schedule/kind")
            left_out = path.startswith(("step/schedule/", "step/layers/"))  # its text says what then counts
            assert "default" in part or "properties" in part or required or left_out, path

    def test_every_number_with_a_unit_or_range_says_so(self):
        for path, part in self.parts():
            if part.get("type") in ("integer", "number") and "enum" not in part:
                assert {"minimum", "exclusiveMinimum"} & set(part), path

    def test_no_mapping_takes_keys_that_it_does_not_know(self):
        def mappings(part):
            if isinstance(part, dict):
                if part.get("type") == "object" and "properties" in part and "allOf" not in part:
                    yield part
                for child in part.values():
                    yield from mappings(child)

        assert all(part["additionalProperties"] is False for part in mappings(schema.load()))

    def test_the_table_of_keys_is_up_to_date(self):
        written = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
        assert written == table.readme(), "run: python -m workflow.table --write"
        assert (ROOT / "config/schema.json").read_text(encoding="utf-8") == table.json_schema()

    def test_editors_are_told_the_same_as_the_checks(self):
        validator = Draft202012Validator(json.loads(table.json_schema()))
        files = list((ROOT / "config").glob("*.yaml"))
        assert len(files) >= 7
        for path in files:
            assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == [], path
        for path, value in WRONG:
            assert list(validator.iter_errors(changed(path, value))), path


def test_a_search_over_what_target_samples_overrule_is_refused():
    search = {"method": "typhon", "grid": {"training.epochs": [10, 20]}}
    with pytest.raises(ConfigError, match=r"grid/training\.epochs: .*found a key without effect"):
        checked(changed("search", search) | {"comparison": {"target_samples": 800}})
    checked(changed("search", search))
