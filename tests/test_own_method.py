"""A method of somebody else: ten lines in a Snakefile of their own, and no line changed here."""

import json
import re
import subprocess
import sys
from pathlib import Path

from model.training.phase import parse_phases
from pipeline.provenance import ROOT

SNAKEFILE = f"""\
import sys
sys.path.insert(0, "{ROOT}")
from model.training.methods import METHODS, phase

def backwards(config):
    names = [*(name for name in config["datasets"] if name != config["target"]), config["target"]]
    return [phase(config, name, [name], "classical/training", select="best") for name in names]

METHODS["backwards"] = backwards
include: "{ROOT}/Snakefile"
"""


def test_a_method_is_ten_lines_outside_the_package(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    settings = ["methods=[backwards, classical]", "phantom={patients: 10}", "seeds=[0]"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "--config", *settings, "--", "results/comparison.csv",
         "results/backwards_auc.json"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    commands = (done.stdout + done.stderr).splitlines()
    (training,) = (
        line for line in commands if " model.training.train " in line and "results/backwards/" in line
    )
    found = re.search(r"--phases '(.*?)'", training)
    assert found
    phases = parse_phases(found[1])
    assert [(one.name, one.datasets, one.select) for one in phases] == [
        (name, (name,), "best") for name in ("lungx", "brain", "prostatex")
    ]
    assert phases[0].learning_rate == json.loads(found[1])[0]["learning_rate"]
