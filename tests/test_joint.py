"""Data sets with the same people: one draw, and nobody trains in one and is tested in another."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.dataset import load
from pipeline.classes import UNKNOWN, UNNAMED, Classes
from pipeline.errors import ConfigError, LeakError, SplitError
from pipeline.files import SKIPPED_COLUMNS, read_csv, write_csv
from pipeline.splits import joint, seen, split
from pipeline.splits.people import person
from pipeline.splits.split import SPLITS, assign, assign_together
from pipeline.verify.overlap import DataFolder, across
from tests.test_config import changed
from tests.test_split import store_of
from tests.test_verify import images, member
from tests.test_workflow import DEMO, bare_project, snakemake
from workflow import people, shared
from workflow.config import checked

HOLDOUT = {"kind": "holdout", "n": 1, "validation": 0.2, "test": 0.2, "seed": 0, "fold": 0}


def findings_of(ids: list[str], labels: list[int]) -> pd.DataFrame:
    """A finding each; groups are the ids as they are spelt."""
    table = pd.DataFrame({"patient_id": ids, "group_id": ids, "label": labels})
    return table.assign(finding_id=[str(number) for number in range(len(ids))], width_mm=1.0, height_mm=1.0)


def splits_of(tables: list[pd.DataFrame], splits: list[pd.Series]) -> pd.DataFrame:
    every = pd.concat([table.assign(split=own) for table, own in zip(tables, splits, strict=True)])
    return every.assign(who=every["patient_id"].map(person))


def test_two_labels_of_one_collection_are_one_draw() -> None:
    # 40 people; every second is of label 1 in the first task, every fourth in the other, which has 30 of them.
    one = findings_of([f"{number:08d}" for number in range(40)], [number % 2 for number in range(40)])
    two = findings_of([f"{number}.0" for number in range(30)], [int(number % 4 == 0) for number in range(30)])
    splits = assign_together([one, two], [UNNAMED] * 2, **HOLDOUT)
    every = splits_of([one, two], splits)
    assert (every.groupby("who")["split"].nunique() == 1).all()
    # Of 20 and 20 groups 4 are tested; of 22 and 8 groups 4 and 2.
    tested = [
        table["label"][own == "test"].value_counts().to_dict()
        for table, own in zip([one, two], splits, strict=True)
    ]
    assert tested == [{0: 4, 1: 4}, {0: 4, 1: 2}]


@given(st.data(), st.integers(2, 3), st.integers(0, 4), st.sampled_from(["holdout", "repeats", "folds"]))
def test_nobody_crosses_whatever_is_shared(data: st.DataObject, count: int, fold: int, kind: str) -> None:
    tables = []
    for _ in range(count):
        own = data.draw(st.lists(st.integers(20, 60), unique=True, max_size=30)) + list(range(20))
        spell = data.draw(st.sampled_from([str, "{}.0".format, "{:06d}".format]))
        labels = [number % 2 if number < 20 else data.draw(st.integers(0, 1)) for number in own]
        tables.append(findings_of([spell(number) for number in own], labels))
    rule = HOLDOUT | {"kind": kind, "n": 5, "fold": fold}
    splits = assign_together(tables, [UNNAMED] * len(tables), **rule)
    every = splits_of(tables, splits)
    assert (every.groupby("who")["split"].nunique() == 1).all()
    for table, own in zip(tables, splits, strict=True):
        assert set(pd.MultiIndex.from_arrays([own, table["label"]])) == {
            (name, label) for name in SPLITS for label in (0, 1)
        }
    again = assign_together(
        [table.sample(frac=1, random_state=0) for table in tables], [UNNAMED] * len(tables), **rule
    )
    assert all(own.equals(other.sort_index()) for own, other in zip(splits, again, strict=True))


def test_folds_test_everybody_once() -> None:
    tables = [
        findings_of([str(number) for number in range(30)], [number % k == 0 for number in range(30)])
        for k in (2, 3)
    ]
    tables = [table.astype({"label": int}) for table in tables]
    tested = [
        set(
            tables[0]["patient_id"][
                assign_together(
                    tables, [UNNAMED] * len(tables), **HOLDOUT | {"kind": "folds", "n": 5, "fold": fold}
                )[0]
                == "test"
            ]
        )
        for fold in range(5)
    ]
    assert sorted(map(len, tested)) == [6] * 5
    assert len(set().union(*tested)) == 30


def test_data_sets_that_share_nobody_are_drawn_as_ever() -> None:
    one, two = (findings_of([f"{name}{n}" for n in range(20)], [n % 2 for n in range(20)]) for name in "ab")
    both = assign_together([one, two], [UNNAMED] * 2, **HOLDOUT)
    assert all(own.equals(assign(table, **HOLDOUT)) for own, table in zip(both, [one, two], strict=True))


def test_what_is_too_little_is_counted_in_each_data_set() -> None:
    one = findings_of([str(n) for n in range(20)], [n % 2 for n in range(20)])
    two = findings_of([str(n) for n in range(20)], [int(n < 2) for n in range(20)])
    with pytest.raises(SplitError, match="10 of label 0, 10 of label 1; 18 of label 0, 2 of label 1"):
        assign_together([one, two], [UNNAMED] * 2, **HOLDOUT)


def test_the_rarest_label_is_dealt_first() -> None:
    cells = np.array([[1, 0], [1, 0], [1, 1], [1, 1]], bool)
    part = joint.deal(cells, np.array([[2, 1], [2, 1]]), ("any",))
    assert sorted(part[2:]) == sorted(part[:2]) == [0, 1]


# --- from the stores to the check before training


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Stores of 24 people, spelt otherwise in the second."""
    found = []
    for name, spell in (("mass", "{:08d}"), ("effusion", "{}.0")):
        ids = [spell.format(number) for number in range(1, 25)]
        table = findings_of(ids, [number % (2 if name == "mass" else 3) == 0 for number in range(24)])
        rng = np.random.default_rng(len(name))
        patches = rng.normal(size=(24, 6, 1, 65, 65)).astype("f4")
        found.append(store_of(tmp_path / f"{name}.h5", table.astype({"label": int}), patches, dataset=name))
    write_csv(tmp_path / "skipped.csv", SKIPPED_COLUMNS, [])
    return found[0], found[1]


def split_step(store: Path, *beside: Path) -> Path:
    out = store.with_suffix(".csv")
    flags = ["--store", store, "--skipped", store.with_name("skipped.csv"), "--out", out]
    if beside:
        flags += ["--beside", *beside]
    split.main([*map(str, flags), "--majority-views", "2", "--evaluation-views", "1"])
    return out


def test_each_step_comes_to_the_same_draw(two: tuple[Path, Path]) -> None:
    tables = [split_step(two[0], two[1]), split_step(two[1], two[0])]
    one, other = (read_csv(path).assign(who=lambda t: t["patient_id"].map(person)) for path in tables)
    both = one.merge(other, on="who")
    assert len(both) == 24
    assert (both["split_x"] == both["split_y"]).all()
    assert list(load(two, tables, people=["nih", "nih"])) == ["mass", "effusion"]


def test_training_stops_where_data_sets_with_the_same_people_were_split_apart(two: tuple[Path, Path]) -> None:
    tables = [split_step(two[0]), split_step(two[1])]
    with pytest.raises(
        LeakError, match=r"patients in several splits: .*0000\d+ = \d+\.0.*the same people: mass, effusion"
    ):
        load(two, tables, people=["nih", "nih"])
    load(two, tables)  # who they are nobody said: equal ids are not the same person
    load(two, tables, people=["a", "b"])
    load(two, tables, people=["nih", "nih"], leak="warn")


@pytest.mark.parametrize(("there", "refused"), [("train", False), ("validation", True), ("test", True)])
def test_an_image_that_trains_in_one_store_and_is_tested_in_another_stops_the_training(
    tmp_path: Path, there: str, refused: bool
) -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(12, 6, 1, 65, 65)).astype("f4")
    other = rng.normal(size=(12, 6, 1, 65, 65)).astype("f4")
    other[5, 0] = patches[0, 0]
    splits = np.array(["train"] * 4 + ["validation"] * 4 + ["test"] * 4)
    stores, tables = [], []
    for name, own, of in (
        ("a", patches, splits),
        ("b", other, np.roll(splits, {"train": 4, "validation": 0, "test": 8}[there])),
    ):
        table = findings_of([f"{name}{number}" for number in range(12)], [0, 1] * 6)
        stores.append(store_of(tmp_path / f"{name}.h5", table, own, dataset=name))
        tables.append(tmp_path / f"{name}.csv")
        rows = table.assign(split=of, views=1)[list(split.COLUMNS)]
        write_csv(tables[-1], split.COLUMNS, rows.to_dict("records"))
    assert read_csv(tables[1])["split"][5] == there
    if not refused:
        load(stores, tables)
        return
    with pytest.raises(LeakError, match="images like in several splits: a a0 0"):
        load(stores, tables)


# --- who has the same people, by the config


def config_of(tmp_path: Path, raw: dict[str, str], **patients: str) -> dict[str, object]:
    label = {"kind": "chestxray14", "label": "Mass"}
    collections = {
        name: dict(label, **({"patients": patients[name]} if name in patients else {})) for name in "abcd"
    }
    config = changed("collections", collections)
    config |= {"datasets": ["d", "c", "b", "a"], "target": "d", "data": str(tmp_path / "data"), "raw": raw}
    return checked(config)


def test_a_raw_folder_has_the_same_people_by_whatever_way_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "chest").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "chest")
    raw = {"a": str(tmp_path / "chest"), "b": str(tmp_path / "link"), "c": f"{tmp_path}/x/../chest/"}
    config = config_of(tmp_path, raw)
    assert people.names(config) == {"a": "a", "b": "a", "c": "a", "d": "d"}
    assert people.same(config, "b") == ["a", "c"]
    assert people.same(config, "d") == []


def test_a_raw_folder_has_the_people_of_those_within_it(tmp_path: Path) -> None:
    raw = {
        name: str(tmp_path / place) for name, place in (("a", "x/y/z"), ("b", "x"), ("c", "x/w"), ("d", "xx"))
    }
    assert people.names(config_of(tmp_path, raw)) == {"a": "a", "b": "a", "c": "a", "d": "d"}
    apart = {**raw, "b": str(tmp_path / "v")}
    assert people.names(config_of(tmp_path, apart)) == {name: name for name in "abcd"}


def test_people_have_names_of_which_that_of_their_data_set_is_one(tmp_path: Path) -> None:
    assert people.names(config_of(tmp_path, {}, a="nih", c="nih")) == {
        "a": "nih", "b": "b", "c": "nih", "d": "d",
    }  # fmt: skip
    assert people.same(config_of(tmp_path, {}, a="d"), "d") == ["a"]
    # By a name with one and by the folder with another: all three.
    config = config_of(tmp_path, dict.fromkeys("ab", str(tmp_path / "chest")), b="nih", d="nih")
    assert people.names(config) == {"a": "nih", "b": "nih", "d": "nih", "c": "c"}


def test_an_extractor_of_another_experiment_is_refused_for_people_of_one_name() -> None:
    """Source and target are data sets of other names in other experiments; images of the patients differ."""
    source, target = (
        checked({"collections": {name: {"kind": "chestxray14", "patients": "nih", **keys}},
                 "datasets": [name], "target": name})
        for name, keys in (("cxr13", {"without": "Mass"}), ("mass", {"label": "Mass"}))
    )  # fmt: skip
    entry = seen.entry({"cxr13": seen_in("train", "p1", image="one")}, people.names(source))
    for part, patient in (("train", "p1"), ("test", "p2")):
        met = {"mass": seen_in(part, patient, image="two")}
        seen.check([entry], met, people.names(target), leak="refuse", model="results/base")
    met = {"mass": seen_in("test", "p1", image="two")}
    with pytest.raises(LeakError, match="1 patients: mass p1"):
        seen.check([entry], met, people.names(target), leak="refuse", model="results/base")


def seen_in(part: str, patient: str, image: str) -> pd.DataFrame:
    return pd.DataFrame({"patient_id": [patient], "finding_id": "1", "split": part, "image": image})


def test_a_borrowed_data_folder_was_split_with_the_same_people(tmp_path: Path) -> None:
    alone, together = config_of(tmp_path, {}), config_of(tmp_path, {}, a="nih", b="nih")
    assert shared.settings(alone, "c") == shared.settings(together, "c")
    assert "patients" not in shared.settings(alone, "a")["collection"]
    assert shared.settings(together, "a") == shared.settings(alone, "a") | {"same_people": ["b"]}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("patch", 96, "E-CONFIG patch: expected 65, with which .*data was made, found 96"),
        ("encoders", {"lite0": {"side": 96}}, "E-CONFIG encoders.lite0.side: expected 160, with which"),
        ("encoders", {"lite0": {"side": None}}, "E-CONFIG encoders.lite0.side: expected 160, with which"),
        ("encoders", {"lite0": {}, "large": {"side": 224}}, None),  # one that the lender does not have
    ],
)
def test_patches_and_features_made_with_other_settings_are_not_borrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: object, message: str | None
) -> None:
    config = config_of(tmp_path, {})
    (tmp_path / "borrower").mkdir()
    monkeypatch.chdir(tmp_path)
    shared.record(config)
    monkeypatch.chdir(tmp_path / "borrower")
    shared.check(config)
    other = checked(config | {key: value})
    if message is None:
        shared.check(other)
        return
    with pytest.raises(ConfigError, match=message):
        shared.check(other)


def test_a_data_folder_of_before_has_patches_of_65_pixels_and_encoders_that_nobody_wrote_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path, {})
    monkeypatch.chdir(tmp_path)
    shared.record(config)
    path = tmp_path / "data" / shared.FILE
    made = json.loads(path.read_text())
    for settings in made.values():
        del settings["patch"], settings["encoders"]
    path.write_text(json.dumps(made))
    (tmp_path / "borrower").mkdir()
    monkeypatch.chdir(tmp_path / "borrower")
    shared.check(checked(config | {"encoders": {"lite0": {"side": 96}}}))
    with pytest.raises(ConfigError, match="E-CONFIG patch: expected 65"):
        shared.check(checked(config | {"patch": 96}))


# --- verify


@pytest.mark.parametrize(
    ("ours", "theirs", "leak", "result"),
    [
        ("t", "t", "refuse", "ok"),
        ("t", "e", "refuse", "failed"),
        ("v", "e", "refuse", "failed"),
        ("t", "e", "warn", "warning"),
    ],
)
def test_people_that_the_config_says_are_the_same_fail_where_they_are_split_apart(
    ours: str, theirs: str, leak: str, result: str
) -> None:
    def of(name: str, who: str, letter: str) -> DataFolder:
        made = member(name, images((who, who, name, len(name))), letter)
        return DataFolder(made.name, made.folder, made.folds, made.images, "nih")

    check = next(across(of("a", "0014", ours), [of("bbb", "14.0", theirs)], leak))
    assert (check.check, check.result, check.count) == ("patients in bbb", result, 1)
    assert check.detail.endswith("0014 in fold 0" if result != "ok" else "in the same split of both")


def test_the_workflow_splits_them_together_and_tells_the_training(tmp_path: Path) -> None:
    project = bare_project(tmp_path)
    same = "collections={prostatex: {patients: clinic}, lungx: {patients: clinic}}"
    printed = snakemake(
        project, *DEMO, "-n", "-p", "results/checks.csv", "results/typhon_auc.json", "--config", same
    )
    commands = [" ".join(line.split()) for line in printed.splitlines() if "workflow.job" in line]
    splits = {name: line for line in commands for name in ("brain", "lungx", "prostatex")
              if f"--out data/{name}/splits/fold0.csv" in line}  # fmt: skip
    assert "--beside data/lungx/patches.h5 " in splits["prostatex"]
    assert "--beside data/prostatex/patches.h5 " in splits["lungx"]
    assert "--beside --" in splits["brain"]
    training = next(line for line in commands if " model.training.train " in line)
    stores = re.search("--stores (.*) --splits", training)
    names = re.search("--people (.*) --network", training)
    assert stores
    assert names
    given = dict(zip(re.findall("data/([a-z]+)/", stores[1]), names[1].split(), strict=True))
    assert given == {"prostatex": "clinic", "lungx": "clinic", "brain": "brain"}
    checks = [line for line in commands if "pipeline.verify " in line]
    assert sorted(re.findall("--people (.*?) --", " ".join(checks))) == [
        "brain clinic clinic", "clinic clinic brain", "clinic clinic brain",
    ]  # fmt: skip


# --- more classes than two, and several labels


def parted(table: pd.DataFrame, classes: Classes, **rule: object) -> pd.DataFrame:
    return table.assign(split=assign(table, classes=classes, **HOLDOUT | rule))


THREE = Classes(("normal", "benign", "malignant"))
SIGNS = Classes(("mass", "nodule"), multilabel=True)


def test_each_part_has_its_share_of_each_class() -> None:
    labels = [0] * 20 + [1] * 10 + [2] * 5
    found = parted(findings_of([str(n) for n in range(35)], labels), THREE)
    assert pd.crosstab(found["label"], found["split"])[list(SPLITS)].to_numpy().tolist() == [
        [12, 4, 4], [6, 2, 2], [3, 1, 1]
    ]  # fmt: skip


def test_each_part_has_findings_with_and_without_each_label() -> None:
    rng = np.random.default_rng(0)
    table = findings_of([str(n) for n in range(40)], [0] * 40).drop(columns="label")
    table["label_mass"] = np.arange(40) % 2
    table["label_nodule"] = np.where(np.arange(40) < 5, 1, 0)
    table.loc[rng.permutation(np.arange(5, 40))[:10], "label_nodule"] = UNKNOWN
    found = parted(table, SIGNS)
    rare = found[found["label_nodule"] == 1]["split"].value_counts().to_dict()
    assert rare == {"train": 3, "validation": 1, "test": 1}
    for name in SIGNS.label_columns:
        assert (pd.crosstab(found[name], found["split"]).loc[[0, 1]] > 0).all(axis=None)


@given(st.data())
def test_a_person_of_several_classes_is_in_one_part(data: st.DataObject) -> None:
    who = data.draw(st.lists(st.integers(0, 30), min_size=60, max_size=90))
    names = [str(n) for n in [*who, *range(31, 40), *range(40, 49)]]
    labels = [data.draw(st.integers(0, 2)) for _ in who] + [0, 1, 2] * 6
    found = parted(findings_of(names, labels), THREE, fold=data.draw(st.integers(0, 4)))
    assert (found.groupby("group_id")["split"].nunique() == 1).all()


def test_folds_of_three_classes_test_each_finding_once() -> None:
    table = findings_of([str(n) for n in range(30)], [n % 3 for n in range(30)])
    tested = [parted(table, THREE, kind="folds", n=5, fold=fold)["split"] == "test" for fold in range(5)]
    assert (sum(tested) == 1).all()
    assert all(set(table["label"][part]) == {0, 1, 2} for part in tested)


def test_a_class_or_label_of_too_few_people_is_named() -> None:
    table = findings_of([str(n) for n in range(20)], [n % 2 for n in range(18)] + [2, 2])
    with pytest.raises(SplitError, match="9 of normal, 9 of benign, 2 of malignant"):
        parted(table, THREE)
    table = table.drop(columns="label").assign(label_mass=[0, 1] * 10, label_nodule=[1] * 2 + [0] * 18)
    with pytest.raises(SplitError, match="10 without mass, 10 with mass, 18 without nodule, 2 with nodule"):
        parted(table, SIGNS)
    with pytest.raises(SplitError, match="expected classes, not labels"):
        parted(table, SIGNS, kind="paper")


def test_the_same_people_in_a_set_of_two_and_a_set_of_three_classes_are_one_draw() -> None:
    one = findings_of([str(n) for n in range(30)], [n % 2 for n in range(30)])
    two = findings_of([str(n) for n in range(15, 45)], [n % 3 for n in range(30)])
    splits = assign_together([one, two], [UNNAMED, THREE], **HOLDOUT)
    assert (splits_of([one, two], splits).groupby("who")["split"].nunique() == 1).all()
    for table, own in zip([one, two], splits, strict=True):
        assert (pd.crosstab(table["label"], own) > 0).all(axis=None)
