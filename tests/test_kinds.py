"""A kind of data set is one file: its keys in the config, flags of its step, checks and table come from it."""

import argparse
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import datasets, options
from pipeline.datasets import prostatex, table
from pipeline.errors import ConfigError
from pipeline.provenance import ROOT

WELLS = '''"""Wells of cells: a line ``name;dose;verdict`` per picture in ``wells.txt``."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

from annotated_types import Ge

from pipeline.readers import labels
from pipeline.datasets import Findings, Source, pixel_row
from pipeline.errors import ImageMissingError

CLASSES = ("alive", "dead")
EXTENT = "40 px"
PAPER_EXTENT = "whole"


@dataclass(frozen=True)
class Options:
    """Wells of cells, as they come from the microscope."""

    verdict: Literal["dead", "dying"] = "dead"
    """verdict that counts as positive"""
    least: Annotated[int, Ge(0)] = 1
    """least dose of a well that counts"""

def find(source: Source, options: Options) -> Findings:
    """One finding per line, in the middle of its picture."""
    result, pictures = Findings(), source.index.set_index("file")
    for line in labels.find(source.documents, "wells.txt", source.raw).read_text().splitlines():
        name, dose, verdict = line.split(";")
        case = {"patient_id": PurePosixPath(name).stem, "finding_id": "1", "channel": "image"}
        if name not in pictures.index:
            result.leave_out(ImageMissingError("none of that name", file=name), **case)
        if name not in pictures.index or int(dose) < options.least:
            continue
        middle = (pictures.at[name, "columns"] - 1) / 2, (pictures.at[name, "rows"] - 1) / 2
        row = {"group_id": case["patient_id"], "centre": "image", "file": name, "label": int(verdict == options.verdict)}
        result.rows.append({**case, **row, **pixel_row(*middle)})
    return result
'''
ASK = """
import json, sys
from pipeline import datasets
datasets.__path__.append(sys.argv[1])
from pipeline.errors import ConfigError
from pipeline.cli import run_cli
from pipeline import findings
from pipeline.readers import index
from workflow import table
from workflow.config import checked
from workflow.config.collections import own_keys
from workflow.flags import flags
def config(**keys):
    return {"datasets": ["mine"], "target": "mine", "collections": {"mine": {"kind": "wells", **keys}}}
def line(**keys):
    try:
        return checked(config(**keys))
    except ConfigError as error:
        return str(error)
mine = checked(config(least="7", licence="CC0"))["collections"]["mine"]
words = flags({key: mine[key] for key in own_keys("wells")})
index.main(["--raw", "raw", "--out", "index.parquet", "--files", "files.parquet", "--skipped", "index.csv"])
findings.main(["wells", "--dataset", "mine", "--raw", "raw", "--index", "index.parquet", "--out", "findings.csv",
  "--skipped", "skipped.csv", "--choices", "choices.csv", "--near-duplicates", "near.csv", *words.split()])
print(json.dumps({
    "filled": mine, "flags": words, "lines": [line(lest=3), line(verdict="ded"), line(least=-1)],
    "table": table.readme(),
}))
"""


@pytest.fixture(scope="module")
def wells(tmp_path_factory):
    """What config, flags, table and step make of a module that was put into the folder of kinds."""
    folder = tmp_path_factory.mktemp("wells")
    (folder / "kinds").mkdir()
    (folder / "kinds/wells.py").write_text(WELLS)
    (folder / "raw").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (30, 20), dtype="u1")
        Image.fromarray(pixels).save(folder / f"raw/{number}.png")
    (folder / "raw/wells.txt").write_text("0.png;6;dead\n1.png;7;dead\n2.png;8;alive\n3.png;9;alive\n")
    done = subprocess.run(
        [sys.executable, "-c", ASK, folder / "kinds"], cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"folder": folder}


class TestNewKind:
    def test_it_is_one_short_file(self):
        assert len(WELLS.splitlines()) <= 40

    def test_the_config_takes_its_keys_with_their_defaults(self, wells):
        known = {key: wells["filled"][key] for key in ("kind", "verdict", "least", "extent", "licence")}
        assert known == {
            "kind": "wells", "verdict": "dead", "least": 7, "extent": "40 px", "licence": "CC0",
        }  # fmt: skip

    def test_its_keys_are_flags_of_the_step(self, wells):
        assert wells["flags"] == "--verdict dead --least 7"

    def test_the_step_finds_what_the_keys_ask_for(self, wells):
        found = pd.read_csv(wells["folder"] / "findings.csv", dtype=str)
        assert found[["patient_id", "label", "column", "row"]].to_numpy().tolist() == [
            ["1", "1", "9.5000", "14.5000"],
            ["2", "0", "9.5000", "14.5000"],
        ]
        assert "E-IMG-MISSING" in (wells["folder"] / "skipped.csv").read_text()

    def test_what_is_wrong_with_its_keys_is_one_line(self, wells):
        assert wells["lines"] == [
            "E-CONFIG collections/mine/lest: found an unknown key; did you mean least?",
            "E-CONFIG collections/mine/verdict: expected dead or dying, found ded; did you mean dead?",
            "E-CONFIG collections/mine/least: expected integer, at least 0, found -1; least dose of a well that counts",
        ]

    def test_the_table_of_keys_has_them(self, wells):
        assert "## `collections/{dataset}` of `kind: wells`\n\nWells of cells, as they come" in wells["table"]
        assert (
            "| `least` | integer, at least 0 |  | `1` | least dose of a well that counts |" in wells["table"]
        )


def test_every_kind_has_what_the_workflow_asks_of_it():
    for name, kind in datasets.kinds().items():
        told = options.meanings(kind.Options)
        assert set(told) == set(kind.Options.__dataclass_fields__), name
        assert len(kind.CLASSES) >= 2
        assert kind.EXTENT
        assert kind.PAPER_EXTENT


def flags_of(kind, *words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    options.add_flags(parser, kind)
    return options.given(kind, parser.parse_args([*words]))


class TestFlags:
    def test_what_is_not_given_has_the_default_of_the_config(self):
        assert flags_of(prostatex.Options) == prostatex.Options()

    def test_a_list_of_words(self):
        assert flags_of(prostatex.Options, "--channels", "t2", "adc").channels == ["t2", "adc"]
        with pytest.raises(argparse.ArgumentError, match="invalid choice: 't1'"):
            flags_of(prostatex.Options, "--channels", "t1")

    def test_a_label_is_behind_the_last_sign_of_equality_and_a_header_behind_the_first(self):
        found = flags_of(
            table.Options, "--table", "t.csv", "--labels=a=b=0", "--labels=c=1", "--columns", "image=x=y"
        )
        assert (found.labels, found.columns) == ({"a=b": 0, "c": 1}, {"image": "x=y"})

    def test_a_name_that_is_none_is_refused(self):
        with pytest.raises(
            ConfigError, match=r"--columns: expected one of image, patient_id, .*, found picture"
        ):
            flags_of(table.Options, "--table", "t.csv", "--columns", "picture=x")

    def test_options_that_do_not_fit_together_are_refused_at_the_step_too(self):
        with pytest.raises(ConfigError, match="expected either table or folders, found both or none"):
            flags_of(table.Options)
