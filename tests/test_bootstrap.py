from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from model.bootstrap import guess
from model.bootstrap.candidates import Candidates, Stage, stages
from model.bootstrap.guess import main
from model.bootstrap.rules import minimum_rule, paper_rule, scores_table
from model.files import weights
from model.inference import batch_norm
from model.network import build, initialize
from model.training import data
from pipeline.errors import InputError, SplitError
from pipeline.files import read_csv
from tests.stores import make_store

CPU = torch.device("cpu")
HEAD = "candidate,stage,dataset,auroc,"


def scores(*candidates: tuple[float, ...]) -> list[dict[str, float]]:
    return [dict(zip("abc", values, strict=False)) for values in candidates]


def test_the_default_rule_takes_the_highest_minimum_then_mean_then_lowest_number() -> None:
    tried = scores((0.9, 0.4, 0.9), (0.6, 0.5, 0.5), (0.5, 0.6, 0.7), (0.7, 0.6, 0.5), (0.49, 1.0, 1.0))
    assert minimum_rule(tried) == [0, 1, 2]


def test_a_candidate_that_was_not_scored_on_all_data_sets_does_not_count() -> None:
    tried = scores((0.6, 0.6, 0.6), (0.9, 0.9), (0.7, 0.7, 0.7), ())
    assert minimum_rule(tried) == [0, 2]
    assert paper_rule(tried) == [0, 2]


@pytest.mark.parametrize(
    ("second", "accepted"),
    [
        ((0.65, 0.65, 0.55), True),  # two heads better than (.6, .6, .6), spread .1
        ((0.65, 0.60, 0.60), False),  # one head better: equal is not better
        ((0.80, 0.80, 0.55), False),  # spread .25
        ((0.65, 0.65, 0.49), False),  # one below .5
        ((0.65, 0.65, 0.50), True),  # .5 is not below .5
    ],
)
def test_the_published_rule_by_hand(second: tuple[float, ...], accepted: bool) -> None:
    assert paper_rule(scores((0.6, 0.6, 0.6), second)) == ([0, 1] if accepted else [0])


def test_the_published_rule_starts_from_candidate_0_whatever_it_scores() -> None:
    assert paper_rule(scores((0.1, 0.9, 0.4))) == [0]


def test_the_published_rule_depends_on_the_order() -> None:
    tried = scores((0.5, 0.5, 0.5), (0.6, 0.6, 0.5), (0.5, 0.65, 0.6))
    assert paper_rule(tried) == [0, 1, 2]
    assert paper_rule([tried[0], tried[2], tried[1]]) == [0, 1]


def test_the_published_rule_works_on_any_number_of_data_sets() -> None:
    assert paper_rule([{"a": 0.5}, {"a": 0.5}, {"a": 0.6}]) == [0, 2]
    assert paper_rule([{"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.5}, {"a": 0.6, "b": 0.6}]) == [0, 2]


def test_the_table_marks_what_was_accepted_and_picked() -> None:
    first, second, third = scores_table(scores((0.5, 0.625), (0.75, 0.75), (0.5,)), [0, 1], ["a", "one", "b"])
    assert first == {
        "candidate": 0,
        "a": 0.5,
        "one": "",
        "b": 0.625,
        "minimum": 0.5,
        "mean": 0.5625,
        "accepted": 1,
        "picked": 0,
    }
    assert (second["accepted"], second["picked"]) == (1, 1)
    assert (third["a"], third["b"], third["minimum"], third["mean"], third["accepted"]) == (
        0.5,
        "",
        "",
        "",
        0,
    )


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    made = [make_store(tmp_path, name, train=4, validation=4, views=2) for name in ("a", "b.c")]
    return ["--stores", *(str(store) for store, _ in made), "--splits", *(str(split) for _, split in made)]


def run(stores: list[str], out: Path, *more: str) -> tuple[Path, Path]:
    network, table = out / "network.safetensors", out / "scores.csv"
    flags = [
        "--seed",
        "3",
        "--checkpoint",
        str(out / "checkpoint"),
        "--out",
        str(network),
        "--scores",
        str(table),
    ]
    main([*stores, *flags, *more])
    return network, table


def test_all_candidates_are_scored_and_the_picked_one_is_written(stores: list[str], tmp_path: Path) -> None:
    network, table = run(stores, tmp_path / "out", "--candidates", "6")
    rows = read_csv(table)
    assert list(rows) == ["candidate", "a", "b.c", "minimum", "mean", "accepted", "picked"]
    assert rows["candidate"].tolist() == [str(number) for number in range(6)]
    (picked,) = rows.index[rows["picked"] == "1"]
    assert float(rows["minimum"][picked]) == rows["minimum"].astype(float).max()
    read, tables = weights.read(network, ["a", "b.c"], 1)
    expected = build(["a", "b.c"])
    initialize(expected, "bootstrap", 3, picked)
    assert torch.equal(read.extractor[4].weight, expected.extractor[4].weight)
    assert not torch.equal(tables["a"], tables["b.c"])  # each data set has statistics of its own
    # 6 candidates, 2 data sets: 4 validation findings with one view, 8 training patches for statistics.
    assert weights.read_about(network)["samples_seen"] == 6 * 2 * (4 + 8)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    stores: list[str], tmp_path: Path
) -> None:
    one = [path.read_bytes() for path in run(stores, tmp_path / "1", "--candidates", "3")]
    assert one == [path.read_bytes() for path in run(stores, tmp_path / "2", "--candidates", "3")]
    other = run(stores, tmp_path / "3", "--candidates", "3", "--seed", "4")
    assert other[0].read_bytes() != one[0]


def test_candidate_n_is_the_same_however_many_are_tried(stores: list[str], tmp_path: Path) -> None:
    few, many = (read_csv(run(stores, tmp_path / n, "--candidates", n)[1])[["a", "b.c"]] for n in ("2", "4"))
    assert few.equals(many.head(2))


def test_the_published_way_scores_on_initial_statistics_and_all_training_data(
    stores: list[str], tmp_path: Path
) -> None:
    paper = (
        "--rule",
        "paper",
        "--batch-norm",
        "paper",
        "--data",
        "paper",
        "--views",
        "2",
        "--candidates",
        "3",
    )
    network, table = run(stores, tmp_path / "out", *paper)
    read, tables = weights.read(network, ["a", "b.c"], 1)
    assert torch.equal(tables["a"], batch_norm.initial(read))
    assert weights.read_about(network)["samples_seen"] == 3 * 2 * (8 + 8)
    # AUROC over 8 findings, 4 positive and 4 negative, is a multiple of 1/16.
    values = read_csv(table)[["a", "b.c"]].astype(float).to_numpy() * 16
    np.testing.assert_allclose(values, values.round(), atol=1e-9)


@pytest.mark.parametrize("mode", ["calibrated", "paper"])
def test_candidates_are_scored_on_the_named_data_sets_only(
    stores: list[str], tmp_path: Path, mode: str
) -> None:
    flags = ("--candidates", "3", "--batch-norm", mode)
    everything = read_csv(run(stores, tmp_path / "all", *flags)[1])
    network, table = run(stores, tmp_path / "one", *flags, "--score", "b.c")
    rows = read_csv(table)
    assert list(rows) == ["candidate", "b.c", "minimum", "mean", "accepted", "picked"]
    assert rows["b.c"].equals(everything["b.c"])
    # The other data set keeps its decision maker, and has statistics of its own all the same.
    read, tables = weights.read(network, ["a", "b.c"], 1)
    assert torch.equal(tables["a"], batch_norm.initial(read)) == (mode == "paper")
    calibration = 8 if mode == "calibrated" else 0
    assert weights.read_about(network)["samples_seen"] == 3 * (4 + calibration)


def test_a_data_set_that_is_not_there_cannot_be_scored(stores: list[str], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected one of a, b\.c to score, found b\.d; did you mean b\.c\?"
    ):
        run(stores, tmp_path, "--score", "b.d")


def test_scoring_a_candidate_again_gives_the_same(stores: list[str]) -> None:
    half = len(stores) // 2
    datasets = data.load([Path(path) for path in stores[1:half]], [Path(path) for path in stores[half + 1 :]])
    scored = {name: [data.read_part(dataset, "validation", CPU)] for name, dataset in datasets.items()}
    full = Stage(scored, batch_norm.calibration(datasets, CPU))
    candidates = Candidates(build(datasets), 0, [full])
    first = candidates.score(0, "a")
    candidates.score(1, "a")
    assert candidates.score(0, "a") == first


def test_stages_have_the_first_views_and_patches_of_the_next(tmp_path: Path) -> None:
    store, split = make_store(tmp_path, "a", train=20, validation=4, views=6)
    datasets = data.load([store], [split])
    scored = {"a": [data.read_part(datasets["a"], "validation", CPU, views=6)]}
    made = stages(Stage(scored, batch_norm.calibration(datasets, CPU)))
    assert [stage.patches("a") for stage in made] == [16 + 4, 64 + 4 * 4, 6 * 20 + 4 * 6]
    quick, part = made[1].parts["a"][0], scored["a"][0]
    kept = part.view < 4
    assert torch.equal(quick.patches, part.patches[torch.from_numpy(kept)])
    assert quick.finding.tolist() == part.finding[kept].tolist()
    assert quick.table is part.table
    one = {"a": [data.read_part(datasets["a"], "validation", CPU, views=1)]}
    assert [stage.patches("a") for stage in stages(Stage(one, None))] == [4]  # nothing is cheaper


def test_one_class_does_not_count_and_nothing_but_one_class_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both, single = (
        make_store(tmp_path, "both", train=4),
        make_store(tmp_path, "single", train=4, validation=1),
    )
    flags = ["--stores", str(both[0]), str(single[0]), "--splits", str(both[1]), str(single[1])]
    _, table = run(flags, tmp_path / "out", "--candidates", "2")
    assert read_csv(table)["single"].tolist() == ["", ""]
    assert "single has one class only to score (single: 1 negative, 0 positive)" in caplog.text
    with pytest.raises(SplitError, match=r"E-SPLIT: expected both classes .*single: 1 negative, 0 positive"):
        run(["--stores", str(single[0]), "--splits", str(single[1])], tmp_path / "none", "--candidates", "2")


@pytest.mark.parametrize("content", ["{head}y\n0,0,a,0.5\n", "{head}x\n0,0,a,wr0ng\n", "{head}x\n0,0,a\n"])
def test_a_log_of_another_run_or_a_damaged_one_is_void(
    stores: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(guess, "digest", lambda **_: "x")
    (tmp_path / "out" / "checkpoint").mkdir(parents=True)
    log = tmp_path / "out" / "checkpoint" / "scores.csv"
    log.write_text(content.replace("{head}", HEAD))
    _, table = run(stores, tmp_path / "out", "--candidates", "2")
    clean = run(stores, tmp_path / "clean", "--candidates", "2")[1]
    assert table.read_bytes() == clean.read_bytes()


def test_a_log_is_taken_up_and_its_last_half_line_dropped(
    stores: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guess, "digest", lambda **_: "x")
    (tmp_path / "out" / "checkpoint").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint" / "scores.csv").write_text(
        f"{HEAD}x\n0,0,a,0.125\n0,0,b.c,0.25\n1,0,a,0.37"
    )
    _, table = run(stores, tmp_path / "out", "--candidates", "3")
    rows = read_csv(table)
    assert rows.loc[0, ["a", "b.c"]].tolist() == ["0.125", "0.25"]
    assert rows.loc[1, "a"] != "0.37"
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("flags", "saves"),
    [
        ("--rule minimum --batch-norm calibrated --views 2", False),  # hardly more than a pilot
        ("--rule minimum --batch-norm paper", True),
        ("--rule paper --batch-norm paper", True),
        ("--rule paper --batch-norm calibrated --views 2", True),
    ],
)
def test_a_staged_search_picks_the_same_network(
    stores: list[str], tmp_path: Path, flags: str, saves: bool
) -> None:
    words = ("--candidates", "12", *flags.split())
    exhaustive = run(stores, tmp_path / "exhaustive", *words)
    staged = run(stores, tmp_path / "staged", *words, "--search", "staged")
    (whole, all_rows), (network, rows) = ((path, read_csv(table)) for path, table in (exhaustive, staged))
    assert rows["picked"].tolist() == all_rows["picked"].tolist()
    read = [safetensors.torch.load_file(path) for path in (whole, network)]
    assert all(torch.equal(read[0][name], read[1][name]) for name in read[0])
    # A cell holds what an exhaustive search finds, or nothing.
    for name in ("a", "b.c", "minimum", "mean"):
        known = rows[name] != ""
        assert rows[name][known].tolist() == all_rows[name][known].tolist()
    assert not saves or "" in rows["minimum"].tolist()
    before, after = weights.read_about(whole), weights.read_about(network)
    assert saves == (after["samples_seen"] < before["samples_seen"])


def test_a_staged_search_goes_on_where_it_was_killed(
    stores: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--candidates", "10", "--search", "staged", "--views", "2")
    clean = [path.read_bytes() for path in run(stores, tmp_path / "clean", *flags)]
    whole = Candidates.score
    asked = []

    def killed(self: Candidates, *args: Any) -> float | None:
        asked.append(args)
        if len(asked) == 34:  # of 36 at least
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(Candidates, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        run(stores, tmp_path / "out", *flags)
    assert clean == [path.read_bytes() for path in run(stores, tmp_path / "out", *flags)]
    assert len(asked) == len(set(asked)) + 1  # only the one that was interrupted was asked for again
