"""Every option of the papers' two tables has a home that exists."""

import re

import pytest

from model.training import train
from pipeline.provenance import ROOT
from workflow.config import schema
from workflow.config.collections import KINDS

PAGE = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
TABLE_5_1 = """-trainingset -validationset -batchsize -nbepochs -lr -lossfunction -cudadevice -modeltoload -dropout -inputchannel
-optimizedmetric -outputdirectory"""
TABLE_6_1 = """-training-set1 -validation-set1 -test-set1 -training-set2 -validation-set2 -training-set3 -validation-set3 -batchsize
-nbepochs -lr -lossfunction -cuda-device -modeltoload -dropout -optimized-metric -outputdirectory -cv"""
CODE = """--freeze --attach_DM --last_layer --reference_training --reference_validation --tensorboard_output_name"""
TYPHON = ["dsets", "trg_dset", "transfer: parallel", "transfer: sequential", "resume", "bootstrap_size"]


def rows(title):
    """The rows of the table under a heading: backticked words of the options, keys and flags, and the remark."""
    section = PAGE.partition(f"\n## {title}")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [([re.findall(r"`([^`]+)`", cell) for cell in line[:3]], line[3]) for line in lines]


TITLES = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
EVERY = [row for title in TITLES for row in rows(title)]


def exists(key):
    """Whether the schema has a key; ``{…}`` in it stands for any name."""
    parts = [schema.load()]
    for name in key.split("/"):
        parts = [child for part in parts for child in children(part, name)]
    return bool(parts)


def children(part, name):
    known = part.get("properties", {})
    if name == "{dataset}":  # one part of the schema per kind of collection
        return [schema.load()["$defs"][kind] for kind in KINDS]
    chosen = known.values() if name.startswith("{") else [known[name]] if name in known else []
    return [schema.resolve(child) for child in chosen]


@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("One training", TABLE_5_1.split()),
        ("Transfer learning", TABLE_6_1.split()),
        ("Options of Hydra's code", CODE.split()),
        ("Settings of Typhon's", TYPHON),
    ],
)
def test_every_published_option_is_in_its_table_once(title, options):
    listed = [option for cells, _ in rows(title) for option in cells[0]]
    assert [option for option in options if listed.count(option) != 1] == []


def test_every_option_has_a_key_or_a_flag():
    assert [cells[0] for cells, _ in EVERY if not cells[1] and not cells[2]] == []


def test_every_key_is_in_the_schema():
    keys = {key for cells, _ in EVERY for key in cells[1]}
    assert {key for key in keys if not exists(key)} == set()
    assert not exists("training/no_such_key")
    assert not exists("hyperparameters/{method}/{step}/no_such_key")


def test_every_flag_is_in_the_help_of_training(capsys):
    with pytest.raises(SystemExit):
        train.parse(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {flag for cells, _ in EVERY for flag in cells[2]} - known == set()
