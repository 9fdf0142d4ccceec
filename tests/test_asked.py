"""What is said of a target that no step makes; tests/test_search_workflow.py does so through Snakemake."""

import re

import pytest
from snakemake.io import regex_from_filepattern

from pipeline.errors import TargetError
from tests.test_config import CONFIG
from workflow.config import checked
from workflow.plan import asked
from workflow.run import own_word


class Step:
    """A rule: a name and the pattern of what it makes, matched as Snakemake does."""

    def __init__(self, name, *patterns):
        self.name, self.patterns = name, patterns

    def products(self, _include_logfiles=True):
        return self.patterns

    def has_wildcards(self):
        return any("{" in pattern for pattern in self.patterns)

    def matches(self, file):
        found = (re.fullmatch(regex_from_filepattern(pattern), file) for pattern in self.patterns)
        return [match for match in found if match]

    def is_producer(self, file):
        return bool(self.matches(file))

    def get_wildcards(self, file):
        return self.matches(file)[0].groupdict()


STEPS = [
    Step("build_patches", r"data/{dataset,[a-z]+}/patches.h5", "data/{dataset}/skipped/patches.csv"),
    Step("train_model", r"results/{method,typhon|hydra}/fold{fold,\d+}/seed{seed,\d+}/model.safetensors"),
    Step("score_method", r"results/{method,typhon|hydra}_auc.json"),
    Step("tables", "results/tables.csv"),
]


def told(monkeypatch, *names):
    monkeypatch.setattr(asked, "TARGETS", [*names])
    asked.check(checked(CONFIG | {"methods": ["typhon", "hydra"]}), STEPS)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("tabels", "tables"),
        ("reprot", "report"),  # a word of ./run
        ("al", "all"),
        ("results/hydra_auk.json", "results/hydra_auc.json"),
        ("data/brain/patches.hd5", "data/brain/patches.h5"),
        ("results/tyfon/fold3/seed7/model.safetensors", "results/typhon/fold3/seed7/model.safetensors"),
        ("./results/typhon_auc.jsn", "results/typhon_auc.json"),
    ],
)
def test_a_slip_in_a_word_or_a_file_is_told_with_the_nearest(monkeypatch, name, nearest):
    with pytest.raises(TargetError) as error:
        told(monkeypatch, "all", name)
    assert str(error.value) == (
        f"E-TARGET {name}: expected a file that a step makes, or a word such as report or tables, "
        f"found neither; did you mean {nearest}?"
    )


def test_a_data_set_that_the_config_does_not_have_is_named(monkeypatch):
    with pytest.raises(
        TargetError, match=r"E-TARGET data/brian/patches.h5: .*found one of brian; did you mean brain"
    ):
        told(monkeypatch, "data/brian/patches.h5")


def test_what_is_far_from_everything_gets_a_way_to_look(monkeypatch):
    with pytest.raises(TargetError, match=r"found neither; ./run -n lists what there is to do$"):
        told(monkeypatch, "quux/0123456789")


def test_words_files_that_steps_make_and_files_that_are_there_pass(monkeypatch, tmp_path):
    (tmp_path / "notes.txt").touch()
    made = [
        "results/hydra_auc.json",
        "./data/brain/patches.h5",
        "results/typhon/fold9/seed9/model.safetensors",
    ]
    told(monkeypatch, "all", "tables", "train_model", *made, str(tmp_path / "notes.txt"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--directory", "report", "report"], ("report", ["--directory", "report"])),
        (["--cores", "2", "report", "--directory", "report"], ("report", ["--cores", "2", "--directory", "report"])),
        (["--cores", "2", "results/typhon_auc.json"], ("", ["--cores", "2", "results/typhon_auc.json"])),
    ],
)  # fmt: skip
def test_an_own_word_behind_options_leaves_their_values(
    words: list[str], expected: tuple[str, list[str]]
) -> None:
    # A folder of the same name used to be taken away as well.
    assert own_word(words) == expected
