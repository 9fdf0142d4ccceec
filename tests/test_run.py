"""The script ``run``, with stand-ins for Python and pip."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.provenance import ROOT
from workflow import driver, run

PYTHON = """#!/bin/sh
# Stands for Python: knows its version, venv, and pip, which fails while a file `broken` is there.
case "$*" in
    *ensurepip*) exit {too_old} ;;
    --version) ! [ -e "$here/unseen" ] && cat "$here/version" ;;
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
    for tool in ("sh", "dirname", "cat", "sed", "ln", "mv", "mkdir", "cp", "rm"):
        (folder / "bin" / tool).symlink_to(shutil.which(tool))
    return folder


def python(clone, name, *, too_old=False):
    path = clone / "bin" / name
    path.write_text(f"{PYTHON.replace('{too_old}', str(int(too_old)))}# {name}\n")
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
    assert first.returncode == 0, first.stderr
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


@pytest.mark.parametrize(
    ("lock", "times"),
    [
        ("# a comment\ntorch==2\n", 1),
        ("torch==2  # behind it\n", 1),
        ("\n\ntorch==2\n  \n", 1),
        ("torch==2", 1),
        ("torch==2\nnumpy==1\n", 2),
        ("", 2),
        ("torch @ https://example.org/torch.whl#sha256=12\n", 2),
    ],
)
def test_comments_and_blank_lines_of_the_lock_do_not_count(clone, lock, times):
    python(clone, "python3.12")
    call(clone)
    (clone / "requirements.lock").write_text(lock)
    again = call(clone)
    assert again.returncode == 0
    assert installs(clone) == times
    assert ("Setting up" in again.stderr) == (times == 2)


def test_an_address_behind_a_number_sign_counts(clone):
    python(clone, "python3.12")
    for times, digest in enumerate("ab", start=1):
        (clone / "requirements.lock").write_text(f"torch @ https://example.org/torch.whl#sha256={digest}\n")
        call(clone)
        assert installs(clone) == times


def test_what_an_older_version_wrote_down_with_comments_is_understood(clone):
    python(clone, "python3.12")
    call(clone)
    (clone / ".venv/made-of").write_text("Python 3.12.1\n# a comment\n\ntorch==2\n")
    call(clone)
    assert installs(clone) == 1


def environment(folder):
    """Everything in ``.venv``, by name."""
    return {path.name: path.read_bytes() for path in folder.joinpath(".venv").rglob("*") if path.is_file()}


@pytest.mark.parametrize("link", [True, False], ids=["link", "folder of an older version"])
def test_a_set_up_that_fails_leaves_the_old_environment_and_says_so(clone, link):
    python(clone, "python3.12")
    call(clone)
    if not link:
        made = (clone / ".venv").resolve()
        (clone / ".venv").unlink()
        made.rename(clone / ".venv")
    before = environment(clone)
    (clone / "requirements.lock").write_text("torch==3\n")
    (clone / "broken").touch()
    failed = call(clone, "-n")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.splitlines()[-1] == (
        f"E-PYTHON {clone}/requirements.lock: expected to install it, found what is said above; "
        "run again; what was there is as it was"
    )
    assert environment(clone) == before
    assert len(list(clone.glob(".venv*"))) == 1 + link
    (clone / "broken").unlink()
    done = call(clone)
    assert done.returncode == 0
    assert environment(clone) != before
    assert "Remove it when nothing runs in it" in done.stderr, "it is kept: a run may be using it"


def test_a_python_that_is_not_on_this_node_is_one_line_and_nothing_is_touched(clone):
    python(clone, "python3.12")
    call(clone)
    before = environment(clone)
    (clone / "unseen").touch()
    for lock in ("torch==2\n", "torch==3\n"):
        (clone / "requirements.lock").write_text(lock)
        process = call(clone)
        assert process.returncode == 1
        assert process.stderr.startswith(
            f"E-PYTHON {clone}/.venv: expected its Python on this machine, found none"
        )
        assert len(process.stderr.splitlines()) == 1
    assert environment(clone) == before
    assert installs(clone) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_an_environment_of_another_user_is_used_and_never_replaced(clone):
    python(clone, "python3.12")
    call(clone)
    os.chown((clone / ".venv").resolve(), 1234, -1)
    before = environment(clone)
    assert call(clone).returncode == 0
    (clone / "requirements.lock").write_text("torch==3\n")
    process = call(clone)
    assert process.returncode == 1
    assert "found an older one of another user; ask its owner" in process.stderr
    assert len(process.stderr.splitlines()) == 1
    assert environment(clone) == before


def test_with_a_real_python_and_no_network(tmp_path):
    shutil.copy(ROOT / "run", tmp_path / "run")
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/__init__.py").touch()
    (tmp_path / "workflow/run.py").write_text("import sys; print(sys.prefix)")
    (tmp_path / "requirements.lock").write_text("# nothing yet\n")
    offline = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "PATH": f"{Path(sys.base_prefix, 'bin')}:{os.environ['PATH']}",
    }

    foreign = tmp_path / "elsewhere/workflow"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").touch()
    (foreign / "run.py").write_text("print('foreign')")

    def start():
        return subprocess.run([tmp_path / "run"], cwd=foreign.parent, env=offline, capture_output=True, text=True,
                              timeout=120, check=False)  # fmt: skip

    first = start()
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == str((tmp_path / ".venv").resolve())
    subprocess.run([tmp_path / ".venv/bin/pip", "--version"], check=True, capture_output=True)
    (tmp_path / "requirements.lock").write_text("no-such-package==1\n")
    assert start().returncode == 1
    (tmp_path / "requirements.lock").write_text("# nothing again\n\n")
    assert (start().stdout, start().stderr) == (first.stdout, "")


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


def test_the_python_that_all_is_tested_with_comes_first(clone):
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        python(clone, name)
    assert call(clone).returncode == 0
    assert (clone / ".venv/bin/python").read_text().endswith("# python3.11\n")


def test_too_old_a_python_is_passed_over(clone):
    python(clone, "python3.13", too_old=True)
    python(clone, "python3")
    assert call(clone).returncode == 0


def test_without_python_there_is_one_clear_line(clone):
    python(clone, "python3", too_old=True)
    process = call(clone)
    assert process.returncode == 1
    assert process.stderr.startswith("E-PYTHON PATH: expected Python 3.11 or newer")
    assert len(process.stderr.splitlines()) == 1


def test_the_script_is_short_and_can_be_run():
    assert len((ROOT / "run").read_text().splitlines()) <= 45
    assert os.access(ROOT / "run", os.X_OK)


def test_own_words_are_these_alone():
    assert set(run.OWN) == {"demo", "test", "lint", "bench", "report", "check", "draft", "fuzz"}


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


def test_a_report_is_of_the_last_run_that_began_and_not_of_a_word_mistyped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(driver.MARK, "")  # set back afterwards
    reported = []
    monkeypatch.setattr(run, "make_report", lambda line, _names: reported.append(line) or 0)
    (tmp_path / "results/probe/fold0").mkdir(parents=True)
    driver.record(tmp_path, ["old"], tmp_path)
    assert run.main(["report"]) == 0  # of a version that kept no other record
    driver.begun(tmp_path)
    facts = json.loads((tmp_path / driver.FILE).read_text())
    (tmp_path / driver.FILE).write_text(json.dumps(facts | {"argv": ["results/prob_auc.json"]}))
    assert run.main(["report"]) == 0
    assert reported == [["old"], ["old"]]


def test_a_report_is_of_the_directory_and_config_that_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(driver.MARK, "")  # set back afterwards
    for name in ("here/near", "far"):
        (tmp_path / name / "results/probe/fold0").mkdir(parents=True)
        driver.record(tmp_path / name, [name, "--configfile", "a.yaml"], tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    reported = []
    monkeypatch.setattr(run, "make_report", lambda *given: reported.append(given) or 0)
    for words in (["report"], ["report", "--directory", "../far", "--configfile", "../a.yaml", "report.zip"]):
        assert run.main(words) == 0
        monkeypatch.chdir(tmp_path / "here")
    a = ["--configfile", "a.yaml"]
    assert reported == [(["here/near", *a], []), (["far", *a], ["report.zip"])]
    assert run.main(["report", "--directory", "../far", "--configfile", "../b.yaml"]) == 1
    said = capsys.readouterr().err
    assert (
        f"expected that of the last run here, {tmp_path}/a.yaml, found --configfile {tmp_path}/b.yaml" in said
    )
