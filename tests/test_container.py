"""The container recipe, read and taken apart: no Docker is needed, and no image is built."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from model.evaluation import score
from pipeline.provenance import ROOT


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``git archive HEAD`` packs: the build context."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: no archive of it")
    folder = tmp_path_factory.mktemp("context")
    subprocess.run(["git", "archive", "-o", folder / "context.tar", "HEAD"], cwd=ROOT, check=True)
    with tarfile.open(folder / "context.tar") as archive:
        archive.extractall(folder / "typhon", filter="data")
    return folder / "typhon"


def steps() -> dict[str, str]:
    """The steps of the recipe, by their word; each word is there once."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    pairs = [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]
    assert [word for word, _ in pairs] == ["FROM", "COPY", "RUN", "WORKDIR", "ENTRYPOINT"]
    return dict(pairs)


def test_its_python_is_one_that_run_takes_and_the_lock_was_solved_for() -> None:
    (version,) = re.findall(r"^python:(\d\.\d+)-slim$", steps()["FROM"])
    assert f"python{version}" in (ROOT / "run").read_text()
    first, last = re.findall(r"Python (\d\.\d+) to (\d\.\d+)", (ROOT / "requirements.lock").read_text())[0]
    low, high, own = (int(each.partition(".")[2]) for each in (first, last, version))
    assert low <= own <= high


def test_what_it_runs_is_in_the_context_and_can_be_run(context: Path) -> None:
    source, target = steps()["COPY"].split()
    assert (source, target) == (".", "/typhon")
    (program,) = json.loads(steps()["ENTRYPOINT"])
    assert steps()["RUN"] == f"{program} --version"
    inside = context / PurePosixPath(program).relative_to(target)
    assert os.access(inside, os.X_OK)
    assert (context / "requirements.lock").is_file()


def test_an_archive_knows_the_commit_that_it_was_made_of(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    monkeypatch.setattr(score, "ROOT", context)
    assert score.commit() == head.stdout.strip()
