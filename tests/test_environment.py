import re
import tomllib

import yaml

from pipeline.provenance import ROOT
from workflow import environment


def test_environment_yml_is_up_to_date():
    written = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert written == environment.environment(), "run: python -m workflow.environment --write"


def test_environment_yml_is_python_pip_and_the_pins():
    python, pip, pins = yaml.safe_load(environment.environment())["dependencies"]
    assert python.startswith("python ")
    assert pip == "pip"
    assert pins == {"pip": environment.pins()}


def test_every_pin_is_exact_and_of_no_particular_index():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in environment.pins())


def test_packages_with_known_holes_stay_above_their_fixes():
    versions = {name.lower(): tuple(map(int, version.split(".")[:3]))
                for name, _, version in (pin.partition("==") for pin in environment.pins())
                if re.fullmatch(r"[0-9.]+", version)}  # fmt: skip
    assert versions["torch"] >= (2, 10)
    assert versions["pydicom"] >= (3, 0, 2)


def test_the_project_needs_what_run_looks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "(3, 11)" in (ROOT / "run").read_text()
