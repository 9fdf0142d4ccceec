import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model.files.locked import digest
from model.training.checkpoint import Folder
from model.training.phase import Phase
from model.training.records import Records
from pipeline.errors import LockedError

ROOT = Path(__file__).resolve().parent.parent


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def save(path: Path, *numbers: int, digest: str = "x") -> None:
    folder = Folder(path, digest)
    for number in numbers:
        folder.save({"weights": torch.full((3,), float(number))}, {"step": number})
    folder.__exit__(ValueError, None, None)  # as a run that fails leaves it


def last(path: Path, digest: str = "x") -> int | None:
    folder = Folder(path, digest)
    found = folder.load()
    folder.__exit__(ValueError, None, None)
    if found is None:
        return None
    tensors, state = found
    assert torch.equal(tensors["weights"], torch.full((3,), float(state["step"])))
    return int(state["step"])


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, 3)
    assert len(files(tmp_path)) == 2
    assert last(tmp_path) == 3
    save(tmp_path, 4)
    assert last(tmp_path) == 4


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1, 2)
    newest = files(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    newest.write_bytes(content)
    assert last(tmp_path) == 1
    assert f"checkpoint {newest} is damaged: trying the one before" in caplog.messages
    files(tmp_path)[-1].write_bytes(b"")
    assert last(tmp_path) is None


def test_a_checkpoint_of_other_settings_is_void(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1)
    assert last(tmp_path, digest="y") is None
    assert "is void: settings, data or code are others now" in caplog.messages[-1]
    assert not files(tmp_path)


def test_the_digest_knows_rates_and_code() -> None:
    one, other = (Phase("x", ("a",), 1, 8, rate, 1, 0.3) for rate in (1e-3, 1e-4))
    digests = {
        digest(phases=[one], code="1"),
        digest(phases=[other], code="1"),
        digest(phases=[one], code="2"),
    }
    assert len(digests) == 3
    assert digest(phases=[one], code="1") == digest(code="1", phases=[one])


def test_a_second_trainer_is_told_who_has_the_folder(tmp_path: Path) -> None:
    line = f"from model.training.checkpoint import Folder; from pathlib import Path; Folder(Path({str(tmp_path)!r}), 'x')"
    with (
        Folder(tmp_path, "x"),
        pytest.raises(LockedError, match=f"E-LOCKED .*lock: .*process {os.getpid()}; wait"),
    ):
        Folder(tmp_path, "x")
    with Folder(tmp_path, "x"):
        other = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert f"held by process {os.getpid()}" in other.stderr


def test_the_lock_of_a_dead_trainer_does_not_last(tmp_path: Path) -> None:
    line = f"from model.training.checkpoint import Folder; from pathlib import Path; Folder(Path({str(tmp_path)!r}), 'x')"
    subprocess.run([sys.executable, "-c", line], cwd=ROOT, check=True)
    assert (tmp_path / "lock").exists()
    with Folder(tmp_path, "x"):
        pass


def test_success_removes_the_folder_and_failure_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def fail() -> None:
        with Folder(path, "x"):
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        fail()
    assert path.exists()
    with Folder(path, "x"):
        pass
    assert not path.exists()


def test_a_checkpoint_holds_json_and_no_pickle(tmp_path: Path) -> None:
    save(tmp_path, 1)
    content = files(tmp_path)[0].read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["about"]) == {"digest": "x", "state": {"step": 1}}


def test_records_go_on_from_a_known_length(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    records = Records(path, ("a", "b"))
    records.add(1, 0.1)
    length = records.sync()
    records.add("lost", None)
    records.close()
    again = Records(path, ("a", "b"), length)
    again.add("x, y", None)
    again.close()
    assert path.read_text() == 'a,b\n1,0.1\n"x, y",\n'


def test_a_hundred_thousand_records_are_quick(tmp_path: Path) -> None:
    records = Records(tmp_path / "history.csv", ("a",))
    for number in range(100_000):
        records.add(number)
    assert records.sync() == sum(len(str(number)) + 1 for number in range(100_000)) + 2
    records.close()
