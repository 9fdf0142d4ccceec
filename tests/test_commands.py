"""Commands in blocks of the documentation, planned by the program, with the configs and data that its pages show.

Each ``./run`` is called as it stands there, with ``-n``. What the steps themselves do is for other tests.
"""

import contextlib
import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.phantoms.brain import write_brain
from pipeline.phantoms.chest import write_chestxray14, write_chexpert
from pipeline.phantoms.lungx import write_lungx
from pipeline.phantoms.mura import write_mura
from pipeline.phantoms.prostatex import write_prostatex
from tests import warm
from tests.test_site import BLOCK, ROOT, TEXTS, words_of
from workflow.run import own_word

NAMED = re.compile(
    r"`([\w/]+\.yaml)`(?:(?!\n\n|\.yaml`).)*\n\n```yaml\n(.*?)^```|^```yaml\n# (\w+\.yaml)[^\n]*\n(.*?)^```",
    re.M | re.S,
)
"""A config of a page: its name is the last in the paragraph before it, or stands in a comment on top."""
SCRIPT = re.compile(r"^```python\n(.*?)^```|<<'END'\n(.*?)^END$", re.M | re.S)
"""What makes the pictures of a page."""
PLACES = re.compile(r"(\w+): (?:…|/[\w/]+)")
"""A raw folder that the reader fills in."""
MADE = {"results/search/typhon/best.yaml", "rate.yaml"}
"""Configs that a command before makes."""
WEIGHTS = [
    f"{run}/weights/{name}.pth" for run in ("emphysema", "hernia") for name in ("densenet121", "resnet50")
]
"""Weights that the reader brings."""
ELSEWHERE = {"download", "published=…/hydra-logs", "--report"}
"""Words of commands that ask a server, need files that no page has, or read what a run has left."""
PHANTOMS = {
    "brain": write_brain, "lungx": write_lungx, "prostatex": write_prostatex, "mura": write_mura, "chexpert": write_chexpert,
    "emphysema": write_chestxray14, "hernia": write_chestxray14, "cxr13": write_chestxray14,
}  # fmt: skip


def configs(page: str) -> dict[str, str]:
    """The config files that the pages show, by their names: of two with one name, that of this page."""
    found = {}
    for text in [*TEXTS.values(), TEXTS[page]]:
        for name, shown, commented, below in NAMED.findall(text):
            found[name or commented] = shown or below
    return found


def runs() -> list[tuple[str, str]]:
    """Each ``./run`` in a block of the pages that is Snakemake's to plan, once, with its page."""
    found: dict[str, str] = {}
    for page, text in TEXTS.items():
        for block in BLOCK.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                for words in words_of(line):
                    if words[0] == "./run" and not own_word(words[1:])[0] and "--version" not in words:
                        found.setdefault(shlex.join(word for word in words if word != "-n"), page)
    return [(page, line) for line, page in found.items() if not ELSEWHERE & {*shlex.split(line)}]


def write_pictures(raw: Path, folders: Iterable[str]) -> None:
    """A picture in each folder of a class, whose name tells a patient by all patterns of the configs."""
    start = "sj-05-4525" if raw.name == "lymphoma" else "00000001_idx5"
    for name in folders:
        (raw / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(raw / name / f"{start}_CRC-Prim-HE-01.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are called: the configs of this checkout, and raw data enough for a plan."""
    folder = tmp_path_factory.mktemp("commands")
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    raw = folder / "data/raw"
    for name, write in PHANTOMS.items():
        write(raw / name, 4, 0)
    for file in ("three-sets", "multitask-pathology"):
        known = yaml.safe_load((ROOT / f"config/{file}.yaml").read_text(encoding="utf-8"))["collections"]
        for name, collection in known.items():
            write_pictures(raw / name, collection.get("folders", ()))
    write_pictures(raw / "apart", ("benign", "malignant"))
    write_pictures(raw / "mine", ("a", "b"))
    rows = [
        f"{path.relative_to(raw / 'mine')},{path.parent.name}" for path in sorted((raw / "mine").glob("*/*"))
    ]
    table = ["image,patient_id,finding_id,label", *(f"{row},1,{label}" for label, row in enumerate(rows))]
    (raw / "mine/findings.csv").write_text("\n".join(table) + "\n")
    for name in MADE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("seeds: [0]\n")
    for name in WEIGHTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"weights")
    with contextlib.chdir(folder):
        for page in ("docs/tutorial.md", "docs/data/own.md"):
            for block in SCRIPT.findall(TEXTS[page]):
                exec(compile("".join(block), page, "exec"), {})
    return folder


@pytest.mark.parametrize(("page", "line"), runs())
def test_a_command_of_the_pages_is_planned(folder: Path, page: str, line: str) -> None:
    for name, text in configs(page).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(PLACES.sub(rf"\1: {folder}/data/raw/\1", text))
    words = shlex.split(PLACES.sub(rf"\1: {folder}/data/raw/\1", line))[1:]
    if "log=mlflow" in words and not importlib.util.find_spec("mlflow"):
        pytest.skip("mlflow is not here")
    phantoms = any(re.match(r"config/demo.*\.yaml", word) for word in words)
    if "--directory" in words and not phantoms:
        own = folder / words[words.index("--directory") + 1] / "data"
        own.mkdir(parents=True, exist_ok=True)
        if not (own / "raw").exists():
            (own / "raw").symlink_to(folder / "data/raw")
    ended = warm.run(folder, [*words, "-n", "--quiet", "all"])
    assert ended.returncode == 0, ended.printed[-2000:]
