"""Which runs a path names, and why a file is none."""

import dataclasses
import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from model.files import weights
from model.files.runs import RunError, agree, describe, find
from model.inference import batch_norm
from model.network import Description, build, initialize
from pipeline.card import KINDS, MEASURES, Preprocessing
from pipeline.errors import ConfigError, InputError, LossError, PickledError

UNKNOWN = dict.fromkeys([*KINDS, *MEASURES])
"""The fingerprint of a channel of which nothing is known."""
HOW = Preprocessing("table", ("image",), "40 px", None, "series", "geometry", 2, 0, 3)


def write_model(path: Path, names: tuple[str, ...] = ("a",), channels: int = 1, bias: float = 0.0) -> None:
    network = build(names, Description(channels=channels))
    initialize(network, "runs")
    with torch.no_grad():
        for name in names:
            list(network.maker(name).parameters())[-1].copy_(torch.tensor([0.0, bias]))
    weights.write(
        path, weights.export(network, dict.fromkeys(names, batch_norm.initial(network))), network.description
    )


def write_run(
    folder: Path,
    state: str = "last",
    bias: float = 0.0,
    about: Mapping[str, object] | None = None,
    **how: object,
) -> Path:
    """A run …/typhon/fold0/seed{n} with the data set ``a``."""
    known = {"collection": {}, "classes": ["no", "yes"], "training": {}, "fingerprint": {"image": UNKNOWN}, **(about or {}),
             "preprocessing": dataclasses.asdict(dataclasses.replace(HOW, **how))}  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(known))
    card = describe(folder / "card.json", {"a": folder / "a.json"}, "typhon", "a", state)
    (folder / "card.json").write_text(json.dumps(card))
    write_model(folder / "model.safetensors", bias=bias)
    write_model(folder / "best/model.safetensors", bias=bias + 1)
    return folder


def test_a_folder_names_all_runs_below_it_each_once(tmp_path: Path) -> None:
    one, other = (write_run(tmp_path / f"results/typhon/fold0/seed{seed}") for seed in (0, 1))
    found = find([one, tmp_path / "results", other / "model.safetensors", other / "card.json"])
    assert [run.model for run in found] == [one / "model.safetensors", other / "model.safetensors"]
    assert [run.name for run in found] == ["typhon fold0 seed0", "typhon fold0 seed1"]


def test_the_state_is_that_of_the_card_unless_a_file_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "fold0/seed0", state="best")
    (last,), (best,) = find([run / "model.safetensors"]), find([run])
    assert best.model == run / "best/model.safetensors"
    patches = np.zeros((2, 1, 65, 65), "f4")
    assert (last.card["run"]["state"], best.card["run"]["state"]) == ("last", "best")
    # Their last biases differ by 1 in favour of class 1.
    odds = [score / (1 - score) for score in (last.score("a", patches)[0], best.score("a", patches)[0])]
    assert odds[1] / odds[0] == pytest.approx(np.e, rel=1e-5)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        RunError, match=r"E-RUN .*empty: expected a folder of runs.* found no card.json in it; train one"
    ):
        find([tmp_path / "empty"])
    with pytest.raises(RunError, match=r"none: .* found nothing of that name"):
        find([tmp_path / "none"])
    write_model(tmp_path / "alone.safetensors")
    with pytest.raises(RunError, match=r"alone\.safetensors: .* found no card.json beside it"):
        find([tmp_path / "alone.safetensors"])
    run = write_run(tmp_path / "fold0/seed0")
    for name in ("bootstrap/network.safetensors", "best/other.safetensors", "network.safetensors"):
        write_model(run / name)
        with pytest.raises(RunError, match=rf"{name}: expected model.safetensors or best/model.safetensors"):
            find([run / name])
    (run / "model.safetensors").unlink()
    with pytest.raises(
        RunError, match=r"model\.safetensors: expected the model of the card beside it, found none"
    ):
        find([run])
    for text, said in (
        ("{", "Expecting"),
        ("[]", r"the whole: \[\] is not of type 'object'"),
        ('{"schema": 7}', "schema 7 instead of 1"),
        ('{"schema": 1}', "is a required property"),
        ("[" * 100_000, "lists in lists without end"),
        ('{"schema": NaN}', "the number NaN"),
    ):
        (run / "card.json").write_text(text)
        with pytest.raises(RunError, match=rf"^E-RUN .*card\.json: .*{said}"):
            find([run])


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("target",), "b", "no data set b"),
        (("run", "state"), "first", r"run/state: 'first' is not one of \['last', 'best'\]"),
        (("run", "fold"), "0", "run/fold: '0' is not of type 'integer'"),
        (("datasets", "a", "classes"), ["one"], r"datasets/a/classes: \['one'\] is too short"),
        (("datasets", "a", "fingerprint"), {}, "no fingerprint of a, image"),
        (("datasets", "a", "fingerprint", "image", "slices"), [1], r"image/slices: \[1\] is too short"),
        (("datasets", "a", "fingerprint", "image", "modality"), "MR", "image/modality: 'MR' is not of type"),
        (
            ("datasets", "a", "preprocessing", "channels"),
            [],
            r"preprocessing/channels: \[\] should be non-empty",
        ),
        (("datasets", "a", "preprocessing", "channels"), ["image"] * 2, "has non-unique elements"),
        (("datasets", "a", "preprocessing", "views"), 247, "247 is greater than the maximum of 246"),
        (("datasets", "a", "preprocessing", "axis"), 1.5, "preprocessing/axis: 1.5 is not"),
        (("datasets", "a", "preprocessing", "view_seed"), True, "view_seed: True is not of type 'integer'"),
        (("datasets", "a", "preprocessing", "other"), 1, "Additional properties are not allowed"),
    ],
)
def test_a_card_with_a_wrong_value_is_refused_with_its_place(
    tmp_path: Path, place: tuple[str, ...], value: object, said: str
) -> None:
    run = write_run(tmp_path / "fold0/seed0")
    card = json.loads((run / "card.json").read_text())
    node = card
    for name in place[:-1]:
        node = node[name]
    node[place[-1]] = value
    (run / "card.json").write_text(json.dumps(card))
    with pytest.raises(RunError, match=rf"^E-RUN .*card\.json: expected the card of a run, found .*{said}"):
        find([run])


def test_a_pickle_is_refused_with_the_way_to_convert_it_and_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "plain.pckl").write_bytes(pickle.dumps(Bomb()))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "state.pth")
    for name in ("plain.pckl", "state.pth"):
        with pytest.raises(
            PickledError, match=rf"^E-PICKLE .*{name}: .* found a pickle; .*python -m model.published"
        ):
            find([tmp_path / name])
        with pytest.raises(PickledError):
            weights.read(tmp_path / name, ["a"], 1)
    assert not (tmp_path / "ran").exists()


def test_a_header_that_begins_like_a_pickle_is_none(tmp_path: Path) -> None:
    # The length of the header comes first: 0x80, 0x01 … where it is 384 bytes long.
    tensors = {"x": torch.zeros(1)}
    text = "".ljust(384 - len(weights.to_bytes(tensors, a="")) + 4 + 8, "x")
    (tmp_path / "m.safetensors").write_bytes(content := weights.to_bytes(tensors, a=text))
    assert content[0] == 0x80
    weights.check_kind(tmp_path / "m.safetensors")
    assert weights.read_about(tmp_path / "m.safetensors") == {"a": text}


def test_a_model_of_another_shape_shows_what_does_not_fit(tmp_path: Path) -> None:
    run = write_run(tmp_path / "fold0/seed0")
    patches = np.zeros((1, 1, 65, 65), "f4")
    write_model(run / "model.safetensors", channels=3)
    with pytest.raises(
        InputError,
        match=r"expected a network for 1 channel\(s\) and patches of 65 pixels, found a network for 3 and 65;",
    ):
        find([run])[0].score("a", patches)
    write_model(run / "model.safetensors", names=("b",))
    with pytest.raises(InputError, match=r"found missing makers.a.*, unexpected makers.b"):
        find([run])[0].score("a", patches)
    (run / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected a safetensors model file"):
        find([run])[0].score("a", patches)


def test_runs_that_cut_their_patches_differently_are_no_ensemble(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "fold0/seed0"), write_run(tmp_path / "fold0/seed1", extent="60 px")
    assert agree(find([one]), "a") == HOW
    with pytest.raises(
        RunError, match=r"expected runs that cut their patches alike, found extent 40 px and 60 px"
    ):
        agree(find([one, other]), "a")
    with pytest.raises(ConfigError, match="E-CONFIG --dataset: expected one of a, found b"):
        agree(find([one]), "b")


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"classes": ["no", "perhaps"]}, r"classes \['no', 'yes'\] and \['no', 'perhaps'\]"),
        ({"collection": {"doi": "10.1/2"}}, r"collection {} and {'doi': '10.1/2'}"),
    ],
)
def test_runs_of_other_classes_or_another_collection_are_no_ensemble(
    tmp_path: Path, about: Mapping[str, object], found: str
) -> None:
    one, other = write_run(tmp_path / "fold0/seed0"), write_run(tmp_path / "fold0/seed1", about=about)
    with pytest.raises(RunError, match=f"expected runs of the same data, found {found}"):
        agree(find([one, other]), "a")


def test_scores_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "fold0/seed0", bias=float("nan"))
    with pytest.raises(LossError, match="expected finite scores"):
        find([run])[0].score("a", np.zeros((1, 1, 65, 65), "f4"))
