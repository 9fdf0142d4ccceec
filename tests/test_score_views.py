import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from model.device import set_up
from model.evaluation.predictions import COLUMNS
from model.files import weights
from model.inference import batch_norm, score_views
from model.inference.score_views import main
from model.network import build, initialize
from pipeline.errors import ConfigError, InputError, LossError
from pipeline.files import read_csv
from pipeline.store import read_patches
from tests.stores import make_store

NAMES = ("b.c", "a")


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    made = [make_store(tmp_path, name, train=2, validation=2, test=3, views=2) for name in NAMES]
    network = build(NAMES)
    initialize(network, "predict")
    tables = {name: batch_norm.initial(network) + number for number, name in enumerate(NAMES)}
    weights.write(tmp_path / "model.safetensors", weights.export(network, tables), network.description)
    return ["--stores", *(str(store) for store, _ in made), "--splits", *(str(split) for _, split in made)]


def predict(inputs: list[str], folder: Path, out: str = "predictions.csv") -> Path:
    main([*inputs, "--model", str(folder / "model.safetensors"), "--out", str(folder / out)])
    return folder / out


def test_every_granted_view_of_validation_and_test_gets_a_row(inputs: list[str], tmp_path: Path) -> None:
    table = read_csv(predict(inputs, tmp_path))
    assert list(table) == COLUMNS
    assert len(table) == len(NAMES) * (2 + 3) * 2
    assert table.iloc[0, :6].tolist() == ["b.c", "validation", "0002", "1", "0", "0"]
    assert table["view"].tolist() == ["0", "1"] * 10
    assert list(dict.fromkeys(table["dataset"])) == list(NAMES)


def test_a_score_is_the_softmax_of_the_plain_network(inputs: list[str], tmp_path: Path) -> None:
    table = read_csv(predict(inputs, tmp_path))
    network, tables = weights.read(tmp_path / "model.safetensors", NAMES, 1)
    for name in NAMES:
        batch_norm.attach(network, tables[name])
        patches = torch.from_numpy(read_patches(tmp_path / f"{name}.h5", range(2, 7), [2] * 5))
        with torch.no_grad():
            expected = network.eval()(patches, name).softmax(1)[:, 1]
        scores = table.loc[table["dataset"] == name, "score"].astype(float)
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_scores_keep_all_their_digits(inputs: list[str], tmp_path: Path) -> None:
    # As float32 every score above 1 - 3e-8 would be 1, and the surest findings would tie.
    scores = read_csv(predict(inputs, tmp_path))["score"]
    assert all(repr(float(score)) == score for score in scores)
    assert any(float(np.float32(score)) != float(score) for score in scores)


def test_equal_models_are_scored_once(
    inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tmp_path / "model.safetensors"
    (tmp_path / "best").mkdir()
    best = shutil.copy(one, tmp_path / "best" / one.name)
    used: list[Path] = []
    plain = score_views.predict
    monkeypatch.setattr(
        score_views, "predict", lambda datasets, model, gpu: used.append(model) or plain(datasets, model, gpu)
    )
    tables = [tmp_path / "predictions.csv", tmp_path / "best/predictions.csv"]
    main([*inputs, "--model", str(one), str(best), "--out", *map(str, tables)])
    assert used == [one]
    assert tables[0].read_bytes() == tables[1].read_bytes() != b""


def test_predictions_have_the_same_bytes_each_time(inputs: list[str], tmp_path: Path) -> None:
    one, other = (predict(inputs, tmp_path, name).read_bytes() for name in ("1.csv", "2.csv"))
    assert one == other
    assert one.count(b"\r") == 0


@pytest.mark.usefixtures("inputs")
def test_a_model_of_other_data_sets_is_refused_and_nothing_written(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "new", train=2)
    with pytest.raises(
        InputError, match=r"model\.safetensors: expected a network for new with 1 channel\(s\)"
    ):
        predict(["--stores", str(store), "--splits", str(split)], tmp_path)
    assert not (tmp_path / "predictions.csv").exists()


def test_scores_that_are_not_finite_are_an_error(inputs: list[str], tmp_path: Path) -> None:
    network, tables = weights.read(tmp_path / "model.safetensors", NAMES, 1)
    tables["a"][1] = float("nan")
    weights.write(tmp_path / "model.safetensors", weights.export(network, tables), network.description)
    with pytest.raises(LossError, match="expected finite scores, found a: logits that are not finite"):
        predict(inputs, tmp_path)
    assert not (tmp_path / "predictions.csv").exists()


def test_a_gpu_is_used_only_where_there_is_one_and_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert set_up(0).type == "cpu"
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()  # the same bytes are promised on the CPU
    assert set_up(1) == torch.device("cuda")  # no number: CUDA_VISIBLE_DEVICES decides
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert set_up(1).type == "cpu"
    assert torch.get_num_threads() == 1


def unlabelled(inputs: list[str], folder: Path, *words: str) -> pd.DataFrame:
    """Predictions for a store ``new`` without labels, through the decision maker of ``a``."""
    store, _ = make_store(folder / "challenge", "new", train=4, validation=0, test=0, views=3, labelled=False)
    call = ["--model", str(folder / "model.safetensors"), "--out", str(folder / "challenge.csv")]
    main([*inputs, *call, "--unlabelled", str(store), "--target", "a", *(words or ("--views", "2"))])
    return read_csv(folder / "challenge.csv")


def test_findings_without_labels_get_their_views_scored_by_the_target(
    inputs: list[str], tmp_path: Path
) -> None:
    table = unlabelled(inputs, tmp_path)
    assert list(table) == COLUMNS
    assert table["patient_id"].tolist() == ["0000", "0000", "0001", "0001", "0002", "0002", "0003", "0003"]
    assert table["view"].tolist() == ["0", "1"] * 4
    assert set(table["dataset"]) == {"new"}
    assert set(table["split"]) == {"challenge"}
    assert set(table["label"]) == {""}
    network, tables = weights.read(tmp_path / "model.safetensors", NAMES, 1)
    batch_norm.attach(network, tables["a"])
    patches = torch.from_numpy(read_patches(tmp_path / "challenge/new.h5", range(4), [2] * 4))
    with torch.no_grad():
        expected = network.eval()(patches, "a").softmax(1)[:, 1]
    np.testing.assert_allclose(table["score"].astype(float), expected, atol=1e-5)


def test_findings_without_labels_are_refused_where_they_do_not_fit(inputs: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected at least 4 of each finding, found 3 views"):
        unlabelled(inputs, tmp_path, "--views", "4")
    with pytest.raises(ConfigError, match=r"--target: expected one of b\.c, a, found c"):
        unlabelled(inputs, tmp_path, "--target", "c")
    store, _ = make_store(tmp_path / "larger", "new", train=2, validation=0, test=0, side=70, labelled=False)
    call = ["--model", str(tmp_path / "model.safetensors"), "--out", str(tmp_path / "challenge.csv")]
    with pytest.raises(
        InputError, match=r"new\.h5: expected patches of 65 pixels, found patches of 70 pixels; cut"
    ):
        main([*inputs, *call, "--unlabelled", str(store), "--target", "a", "--views", "2"])
    store, _ = make_store(tmp_path / "other", "new", channels=3)
    call = ["--model", str(tmp_path / "model.safetensors"), "--out", str(tmp_path / "challenge.csv")]
    with pytest.raises(InputError, match="expected channels channel0, found channels channel0, channel1, ch"):
        main([*inputs, *call, "--unlabelled", str(store), "--target", "a", "--views", "2"])
    assert not (tmp_path / "challenge.csv").exists()


def test_the_card_puts_together_those_of_the_data_sets_and_names_the_run(
    inputs: list[str], tmp_path: Path
) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.json").write_text(json.dumps({"classes": [name, "x"]}))
    out = tmp_path / "results/typhon/fold2/seed7"
    cards = ["--cards", *(str(tmp_path / f"{name}.json") for name in NAMES), "--card", str(out / "card.json")]
    call = [
        *inputs,
        "--model",
        str(tmp_path / "model.safetensors"),
        "--out",
        str(out / "predictions.csv"),
        *cards,
    ]
    with pytest.raises(SystemExit):
        main([*call, "--method", "typhon", "--target", "a"])
    assert not (out / "predictions.csv").exists()
    main([*call, "--method", "typhon", "--target", "a", "--state", "best"])
    card = json.loads((out / "card.json").read_text())
    assert card["run"] == {"method": "typhon", "fold": 2, "seed": 7, "state": "best"}
    assert card["target"] == "a"
    assert card["datasets"] == {"b.c": {"classes": ["b.c", "x"]}, "a": {"classes": ["a", "x"]}}
    assert str(tmp_path) not in (out / "card.json").read_text()
    assert "weights" not in card
    about, tensors = (
        read(tmp_path / "model.safetensors") for read in (weights.read_about, weights.read_tensors)
    )
    begun = {"weights": "w.pth", "weights_sha256": "ab"}
    (tmp_path / "model.safetensors").write_bytes(weights.to_bytes(tensors, **about, **begun))
    main([*call, "--method", "typhon", "--target", "a", "--state", "best"])
    card = json.loads((out / "card.json").read_text())
    assert card["run"].items() > begun.items()
    assert card["weights"] == [{"network": "papers", **begun}]
