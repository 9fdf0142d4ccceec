from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.report.tensorboard import main

HISTORY = """phase,epoch,dataset,split,metric,value
training,100,a,train,loss,0.75
training,100,a,validation,auroc,0.5
training,100,b,validation,auroc,
training,200,a,validation,auroc,0.625
training,200,a,train,samples,1600
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "history.csv").write_text(HISTORY)
    main(["--history", str(tmp_path / "history.csv"), "--out", str(tmp_path / "events")])
    return tmp_path / "events"


def test_tensorboard_reads_the_same_records(written: Path) -> None:
    validation = EventAccumulator(str(written / "validation"))
    validation.Reload()
    assert validation.Tags()["scalars"] == ["training/a/auroc"]
    assert [(event.step, event.value) for event in validation.Scalars("training/a/auroc")] == [
        (100, 0.5),
        (200, 0.625),
    ]
    train = EventAccumulator(str(written / "train"))
    train.Reload()
    assert train.Tags()["scalars"] == ["training/a/loss", "training/a/samples"]


def test_same_history_same_bytes(written: Path, tmp_path: Path) -> None:
    main(["--history", str(tmp_path / "history.csv"), "--out", str(tmp_path / "again")])
    for path in written.rglob("events*"):
        assert (tmp_path / "again" / path.relative_to(written)).read_bytes() == path.read_bytes()
