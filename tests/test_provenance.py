import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from pipeline import datasets
from pipeline import provenance as module
from pipeline.provenance import ROOT, code
from tests.copies import copy_code


@pytest.fixture
def project(tmp_path):
    """A project of a step that imports a helper, which imports another; and a module beside them."""
    files = {
        "steps/__init__.py": "",
        "steps/one.py": '"""Step."""\nfrom steps import helper\nimport numpy\n\n\ndef f(x):\n    """Add."""\n    return helper.g(x)\n',
        "steps/helper.py": "def g(x):\n    from tools.deep import h\n    return h(x)\n",
        "steps/other.py": "x = 1\n",
        "tools/__init__.py": "",
        "tools/deep.py": "def h(x):\n    return x\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest(project, *modules):
    for remembered in (module._digest, module._imported, module._read, module.source):
        remembered.cache_clear()
    return code(*(modules or ["steps.one"]), root=project)


@pytest.mark.parametrize("name", ["steps/one.py", "steps/helper.py", "tools/deep.py", "tools/__init__.py"])
def test_code_anywhere_in_the_import_closure_counts(project, name):
    before = digest(project)
    with (project / name).open("a") as file:
        file.write("y = 2\n")
    assert digest(project) != before


def test_comments_docstrings_and_layout_do_not_count(project):
    before = digest(project)
    (project / "steps/one.py").write_text(
        '"""Another text."""\n# comment\nfrom steps import helper\nimport numpy\ndef f(x): return helper.g( x )\n'
    )
    assert digest(project) == before


def test_modules_outside_the_closure_do_not_count(project):
    before = digest(project)
    (project / "steps/other.py").write_text("x = 2\n")
    assert digest(project) == before


def test_several_modules_make_one_digest(project):
    assert digest(project, "steps.one", "steps.other") != digest(project)
    assert digest(project, "steps.one", "steps.helper") == digest(project)


def test_an_unknown_module_is_an_error(project):
    with pytest.raises(ModuleNotFoundError, match=r"no module steps\.none below"):
        digest(project, "steps.none")


def test_etl_never_depends_on_the_code_of_training(tmp_path):
    copy_code(tmp_path, "pipeline", "model", "papers", "workflow")
    steps = ["readers.index", "findings", "patches.slices", "patches.cut", "splits.split", "skipped"]
    before = [digest(tmp_path, f"pipeline.{step}") for step in steps]
    for path in (tmp_path / "model").rglob("*.py"):
        path.write_text(path.read_text() + "\nx = 1\n")
    assert [digest(tmp_path, f"pipeline.{step}") for step in steps] == before


def test_training_never_depends_on_the_registry_of_methods(tmp_path):
    copy_code(tmp_path, "pipeline", "model", "papers", "workflow")
    before = digest(
        tmp_path,
        "model.bootstrap.guess",
        "model.training.train",
        "model.inference.score_views",
        "model.evaluation.score",
    )
    (tmp_path / "model/training/methods.py").write_text("METHODS = {}\n")
    assert (
        digest(
            tmp_path,
            "model.bootstrap.guess",
            "model.training.train",
            "model.inference.score_views",
            "model.evaluation.score",
        )
        == before
    )


STEP = '''
import argparse
import logging
from pipeline.errors import InputError, LabelError

log = logging.getLogger("typhon")
LIMIT = 3
NAMES = ("a", "b")


class DeepError(LabelError):
    """Too deep."""

    code = "E-DEEP"
    expected = "a shallow one"
    remedy = "dig less"


class FlatError(InputError):
    code = "E-FLAT"
    remedy = "dig more"


def main(argv):
    parser = argparse.ArgumentParser(prog="step", description="Digs.")
    parser.add_argument("--depth", type=int, default=4, metavar="M", help="how deep")
    options = parser.parse_args(argv)
    log.info("digging %d deep", options.depth)
    if options.depth > LIMIT:
        raise DeepError(f"{options.depth} of {LIMIT} at once", expected="less " + "of it", remedy="stop")
    return {"name": "result", "text": "found a bone"}
'''
TEXTS = {
    "the text of an error": ("of {LIMIT} at once", "von {LIMIT} auf einmal"),
    "what an error expects": ('expected="less " + "of it"', 'expected="not as much " + "as that"'),
    "a remedy": ('remedy="stop"', 'remedy="go home"'),
    "a remedy that was not there": (', remedy="stop"', ""),
    "the remedy of a kind of error": ("dig less", "stop digging"),
    "what a kind of error expects": ("a shallow one", "a hole"),
    "another kind of error": (
        "class FlatError",
        'class RoundError(InputError):\n    code = "E-R"\n\n\nclass FlatError',
    ),
    "a kind of error less": (
        'class FlatError(InputError):\n    code = "E-FLAT"\n    remedy = "dig more"\n',
        "",
    ),
    "a help text": ("how deep", "depth in metres"),
    "a description": ("Digs.", "It digs."),
    "a name in a help text": ('metavar="M"', 'metavar="METRES"'),
    "a log text": ("digging %d deep", "going down to %d"),
    "a docstring": ("Too deep.", "Far too deep."),
    "a comment": ("LIMIT = 3", "LIMIT = 3  # enough"),
}
CODE = {
    "a number": ("LIMIT = 3", "LIMIT = 4"),
    "a default": ("default=4", "default=5"),
    "the type of an option": ("type=int", "type=float"),
    "the name of an option": ("--depth", "--width"),
    "a list of names": ('("a", "b")', '("a", "c")'),
    "a text that is no message": ("found a bone", "found a stone"),
    "a condition": ("options.depth > LIMIT", "options.depth >= LIMIT"),
    "which error is raised": ("raise DeepError", "raise FlatError"),
    "of which kind an error is": ("class DeepError(LabelError)", "class DeepError(InputError)"),
    "of which kind a plain error is": ("class FlatError(InputError)", "class FlatError(LabelError)"),
    "what is put into a text": ("{options.depth} of", "{parser.depth} of"),
    "what is logged": ('deep", options.depth', 'deep", options.pop()'),
    "the code of an error": ('code = "E-DEEP"', 'code = "E-DOWN"'),
    "what is imported": ("import logging", "import logging\nimport os"),
}


def digest_of(folder, text):
    for name, content in {
        "pipeline/__init__.py": "",
        "pipeline/errors.py": "x = 1\n",
        "step.py": text,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return digest(folder, "step")


@pytest.mark.parametrize("what", TEXTS)
def test_what_only_a_person_reads_does_not_count(tmp_path, what):
    old, new = TEXTS[what]
    assert old in STEP
    assert digest_of(tmp_path, STEP.replace(old, new, 1)) == digest_of(tmp_path, STEP)


@pytest.mark.parametrize("what", CODE)
def test_what_may_decide_bytes_counts(tmp_path, what):
    old, new = CODE[what]
    assert old in STEP
    assert digest_of(tmp_path, STEP.replace(old, new, 1)) != digest_of(tmp_path, STEP)


ERRORS = '''
class InputError(Exception):
    code = ""


class DeepError(InputError):
    """Too deep."""

    code = "E-DEEP"
    remedy = "dig less"


class DiskError(InputError):
    code = "E-DISK"


def full():
    return DiskError("")
'''


@pytest.mark.parametrize(
    ("old", "new", "user", "other"),
    [
        ('"E-DEEP"', '"E-DOWN"', True, False),
        ("DeepError(InputError)", "DeepError(Exception)", True, True),
        ('"E-DISK"', '"E-FULL"', True, True),  # the module itself raises it
        ('"dig less"', '"stop"', False, False),
        ("Too deep.", "Far too deep.", False, False),
        ("def full", 'class NewError(InputError):\n    code = "E-NEW"\n\n\ndef full', False, False),
    ],
)
def test_the_code_of_an_error_counts_for_who_imports_it(tmp_path, old, new, user, other):
    def digests(errors):
        (tmp_path / "pipeline").mkdir(exist_ok=True)
        for name, text in {
            "pipeline/errors.py": errors,
            "user.py": "from pipeline.errors import DeepError\nraise DeepError\n",
            "other.py": "from pipeline.errors import InputError\nraise InputError\n",
        }.items():
            (tmp_path / name).write_text(text)
        return digest(tmp_path, "user"), digest(tmp_path, "other")

    assert old in ERRORS
    before, after = digests(ERRORS), digests(ERRORS.replace(old, new))
    assert tuple(one != two for one, two in zip(before, after, strict=True)) == (user, other)


RULES = sorted({
    module
    for path in (ROOT / "rules").glob("*.smk")
    for module in re.findall(r'code\("([\w.]+)"\)', path.read_text())
})  # fmt: skip
EDITS = {
    "the remedy of an error": (
        "pipeline/errors.py",
        'remedy = "lower the learning rate"',
        'remedy = "try a lower one"',
    ),
    "what an error expects": ("pipeline/errors.py", 'expected = "a finite loss"', 'expected = "a number"'),
    "another error": ("pipeline/errors.py", "", '\n\nclass MyError(InputError):\n    code = "E-MY"\n'),
    "a docstring of all steps": ("pipeline/files.py", "The hexadecimal SHA-256 digest", "The SHA-256 digest"),
    "a help text of training": (
        "model/training/train.py",
        "epochs between validations",
        "how often to validate",
    ),
    "the meaning of a choice": ("model/training/train.py", "a dropout of 0 means none", "0 is no dropout"),
    "a log text": ("model/training/trainer.py", "leaving, to go on later", "until later"),
    "another kind of data set": (
        "pipeline/datasets/mine.py",
        "",
        "def find(): ...\n\n\nclass Options: ...\n",
    ),
    "another method": ("model/training/methods.py", "", '\nMETHODS["mine"] = lambda config: []\n'),
}


def digests(project):
    """The digest of every step that rules name."""
    digest(project, "pipeline.errors")  # forgets what was there before
    return {step: code(step, root=project) for step in RULES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A copy of this project, and the digests of its steps."""
    folder = copy_code(tmp_path_factory.mktemp("whole"), "pipeline", "model", "papers", "workflow")
    return folder, digests(folder)


@pytest.mark.parametrize("what", EDITS)
def test_no_step_and_no_checkpoint_of_this_project_depends_on_texts_and_registries(whole, what):
    project, before = whole
    name, old, new = EDITS[what]
    path = project / name
    text = path.read_text() if path.exists() else ""
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new)
    try:
        after = digests(project)
    finally:
        path.write_text(text) if text else path.unlink()
    assert len(RULES) > 20
    assert {step for step in RULES if before[step] != after[step]} == set()


def test_the_folder_tells_the_kinds_of_data_sets():
    assert set(datasets.kinds()) == {
        "brain",
        "chestxray14",
        "chexpert",
        "lungx",
        "mura",
        "prostatex",
        "table",
    }


class TestMemory:
    """What was read of files is kept beside the code for the next process."""

    @pytest.fixture
    def copied(self, tmp_path):
        copy_code(tmp_path, "pipeline")
        shutil.rmtree(tmp_path / "pipeline" / "__pycache__", ignore_errors=True)
        return tmp_path

    def start(self, folder, **environment):
        text = "from pipeline import provenance; print(provenance.code('pipeline.findings'))"
        line, variables = (
            [sys.executable, "-c", text],
            {**os.environ, "PYTHONPATH": str(folder), **environment},
        )
        process = subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=True)
        return process.stdout.strip()

    def memory(self, folder):
        return folder / "pipeline" / "__pycache__" / module.MEMORY.name

    def test_the_next_process_says_the_same_without_parsing_a_file(self, copied):
        assert self.start(copied) == code("pipeline.findings")
        content = json.loads(self.memory(copied).read_text())
        (modules,) = content.values()
        for read in modules.values():
            read[0] = "remembered"
        self.memory(copied).write_text(json.dumps(content))
        remembered = self.start(copied)
        assert remembered not in ("", code("pipeline.findings"))
        assert self.start(copied) == remembered

    def test_an_edited_file_is_parsed_again(self, copied):
        before = self.start(copied)
        with (copied / "pipeline/findings.py").open("a") as file:
            file.write("edited = 1\n")
        assert self.start(copied) != before

    @pytest.mark.parametrize(
        "damaged", ["", "{", "[]", "{}", '{"KEY": 1}', '{"KEY": {"a": [1]}}', '{"KEY": {"a": 1}}']
    )
    def test_a_damaged_memory_or_one_of_other_code_is_written_anew(self, copied, damaged):
        before = self.start(copied)
        (key,) = json.loads(self.memory(copied).read_text())
        self.memory(copied).write_text(damaged.replace("KEY", key))
        assert self.start(copied) == before
        assert list(json.loads(self.memory(copied).read_text())) == [key]

    def test_what_decides_what_is_read_voids_the_memory(self, copied):
        self.start(copied)
        (key,) = json.loads(self.memory(copied).read_text())
        with (copied / "pipeline/provenance.py").open("a") as file:
            file.write("# another way to read\n")
        self.start(copied)
        assert list(json.loads(self.memory(copied).read_text())) != [key]

    def test_nothing_is_kept_where_python_keeps_nothing(self, copied):
        self.start(copied, PYTHONDONTWRITEBYTECODE="1")
        assert not self.memory(copied).exists()
