"""``./run check``: what it counts, what it names, and that it starts nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.provenance import ROOT
from workflow.check import check, config_of, look

ROWS = ["a.png,P1,1,benign", "b.png,P1,2,benign", "c.png,P2,1,malignant", "d.png,,1,malignant"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a config and four pictures of two known patients."""
    raw = tmp_path / "pictures"
    raw.mkdir()
    rng = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(rng.integers(0, 255, (80, 100), dtype="u1")).save(raw / f"{name}.png")
    (raw / "t.csv").write_text("\n".join(["image,patient_id,finding_id,label", *ROWS]) + "\n")
    own = {"kind": "table", "table": "t.csv", "labels": {"benign": 0, "malignant": 1}}
    settings = {"datasets": ["mine"], "target": "mine", "collections": {"mine": own},
                "raw": {"mine": str(raw)}, "views": 10, "majority_views": 5,
                "evaluation_views": 3}  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def checked(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "workflow.run", "check", "--configfile", "mine.yaml", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_counts_findings_people_and_classes_and_starts_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = checked(folder, "--config", "patch=50")
    assert (done.returncode, done.stderr) == (0, "")
    heading, row = done.stdout.splitlines()[:2]
    cells = dict(zip(heading.split("  "), row.split("  "), strict=False))
    assert row.split()[:2] == ["mine", "table"]
    # 4 findings × 10 views × 50 × 50 pixels of 4 bytes are 0.4 MB
    assert row.split()[4:11] == ["4", "2", "benign", "2,", "malignant", "2", "0"], cells
    assert "No faults" in done.stdout
    assert "Then 5 runs of typhon." in done.stdout
    assert sorted(folder.rglob("*")) == before


def test_it_names_every_fault_and_its_status_says_so(folder: Path) -> None:
    (folder / "pictures/t.csv").write_text("image,patient_id,finding_id,label\na.png,P1,1,odd\n")
    done = checked(folder)
    assert done.returncode == 1
    assert "E-LABEL" in done.stdout
    assert 'labels: {"odd": …}' in done.stdout
    assert "Traceback" not in done.stderr


def test_a_typo_in_the_settings_is_one_line(folder: Path) -> None:
    done = checked(folder, "--config", "sedes=[0]")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "E-CONFIG sedes: found an unknown key; did you mean seeds?"
    )


def test_the_time_of_a_set_is_that_of_some_of_its_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text, well = check(config_of(["mine.yaml"], []))
    assert well
    assert text.splitlines()[1].endswith("  < 0.1")


def test_synthetic_data_lack_nothing() -> None:
    text, well = check(config_of([str(ROOT / "config/demo.yaml")], []))
    assert well
    assert "E-RAW" not in text


def test_images_of_all_channels_are_read(folder: Path) -> None:
    rows = ["a.png,b.png,P1,1,benign", "c.png,d.png,P2,1,malignant", "a.png,gone.png,P3,1,malignant"]
    (folder / "pictures/t.csv").write_text("\n".join(["one,two,patient_id,finding_id,label", *rows]) + "\n")
    settings = yaml.safe_load((folder / "mine.yaml").read_text())
    settings["collections"]["mine"]["channels"] = ["one", "two"]
    (folder / "mine.yaml").write_text(yaml.safe_dump(settings))
    found = look(config_of([str(folder / "mine.yaml")], []), "mine")
    assert (found.findings, found.images) == (3, ["a.png", "b.png", "c.png", "d.png"])
