import shutil

import pytest

from pipeline import provenance as module
from pipeline.provenance import ROOT, code


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
    module._parsed.cache_clear()
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
    for package in ("pipeline", "model", "workflow"):
        shutil.copytree(ROOT / package, tmp_path / package)
    steps = ["index", "findings", "slices", "patches", "split", "skipped"]
    before = [digest(tmp_path, f"pipeline.{step}") for step in steps]
    for path in (tmp_path / "model").glob("*.py"):
        path.write_text(path.read_text() + "\nx = 1\n")
    assert [digest(tmp_path, f"pipeline.{step}") for step in steps] == before


def test_training_never_depends_on_the_registry_of_methods(tmp_path):
    for package in ("pipeline", "model", "workflow"):
        shutil.copytree(ROOT / package, tmp_path / package)
    before = digest(tmp_path, "model.bootstrap", "model.train", "model.score_views", "model.score")
    (tmp_path / "model/methods.py").write_text("METHODS = {}\n")
    assert digest(tmp_path, "model.bootstrap", "model.train", "model.score_views", "model.score") == before
