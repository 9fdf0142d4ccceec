"""The script ``run``, with stand-ins for Python and pip."""

import os
import shutil
import subprocess

import pytest

from pipeline.provenance import ROOT
from workflow import driver, run

PYTHON = """#!/bin/sh
# Stands for Python: knows its version, venv, and pip, which fails while a file `broken` is there.
case "$*" in
    *ensurepip*) exit {too_old} ;;
    --version) cat "$here/version" ;;
    "-m venv --clear"*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    "-m pip install"*) echo install >> "$here/installs"; ! [ -e "$here/broken" ] ;;
    "-m workflow.run"*) echo "in $PWD: $*" ;;
    *) echo "unexpected: $*"; exit 9 ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A clone with nothing but ``run`` and the lock, and a PATH with little on it."""
    folder = tmp_path / "clone"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "run", folder / "run")
    (folder / "requirements.lock").write_text("torch==2\n")
    (folder / "version").write_text("Python 3.12.1\n")
    for tool in ("sh", "dirname", "cat", "cmp", "mkdir", "cp", "rm"):
        (folder / "bin" / tool).symlink_to(shutil.which(tool))
    return folder


def python(clone, name, *, too_old=False):
    path = clone / "bin" / name
    path.write_text(PYTHON.replace("{too_old}", str(int(too_old))))
    path.chmod(0o755)


def call(clone, *words, cwd=None):
    environment = {"PATH": str(clone / "bin"), "here": str(clone)}
    return subprocess.run([clone / "run", *words], cwd=cwd or clone, env=environment, capture_output=True, text=True,
                          timeout=30, check=False)  # fmt: skip


def installs(clone):
    return len((clone / "installs").read_text().splitlines())


def test_sets_up_once_and_passes_words_and_folder_on(clone, tmp_path):
    python(clone, "python3.12")
    first = call(clone, "--cores", "1", "a b", cwd=tmp_path)
    assert first.stdout == f"in {tmp_path}: -m workflow.run --cores 1 a b\n"
    assert "Setting up .venv" in first.stderr
    second = call(clone)
    assert second.stderr == ""
    assert installs(clone) == 1


def test_an_interrupted_set_up_is_done_again(clone):
    python(clone, "python3")
    (clone / "broken").touch()
    assert call(clone).returncode != 0
    (clone / "broken").unlink()
    assert call(clone).returncode == 0
    assert installs(clone) == 2


def test_a_changed_lock_is_installed(clone):
    python(clone, "python3.11")
    call(clone)
    (clone / "requirements.lock").write_text("torch==3\n")
    call(clone)
    assert installs(clone) == 2


def test_another_python_behind_the_same_name_is_set_up_anew(clone):
    python(clone, "python3")
    call(clone)
    (clone / "version").write_text("Python 3.13.0\n")
    call(clone)
    assert installs(clone) == 2


def test_another_python_on_the_path_changes_nothing(clone):
    python(clone, "python3.11")
    call(clone)
    python(clone, "python3.13")
    call(clone)
    assert installs(clone) == 1


def test_too_old_a_python_is_passed_over(clone):
    python(clone, "python3.13", too_old=True)
    python(clone, "python3")
    assert call(clone).returncode == 0


def test_without_python_there_is_one_clear_line(clone):
    python(clone, "python3", too_old=True)
    process = call(clone)
    assert process.returncode == 1
    assert process.stderr.startswith("E-PYTHON: expected Python 3.11 or newer")
    assert len(process.stderr.splitlines()) == 1


def test_the_script_is_short_and_can_be_run():
    assert len((ROOT / "run").read_text().splitlines()) <= 20
    assert os.access(ROOT / "run", os.X_OK)


def test_own_words_are_these_alone():
    assert set(run.OWN) == {"demo", "test", "lint", "bench", "report"}


def test_a_report_before_any_run_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run.main(["report"]) == 1
    assert (
        capsys.readouterr().err
        == "E-INPUT: expected a run to report on, found none; run the workflow first: ./run demo\n"
    )


def test_a_folder_of_citations_alone_is_no_run_to_report_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(driver.MARK, "")  # set back afterwards
    (tmp_path / "results").mkdir()
    (tmp_path / "results/cite.md").write_text("# What to cite")
    driver.record(tmp_path, ["cite"], tmp_path)
    assert run.main(["report"]) == 1
    assert "expected a run to report on, found none" in capsys.readouterr().err
