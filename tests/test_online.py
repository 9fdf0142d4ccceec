"""Views that are drawn when they are needed, against those of the slice itself, and training on them."""

import tracemalloc
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.inference.scores import evaluate
from model.network import build, initialize
from model.training import data
from model.training.checkpoint import Folder
from model.training.online import Views
from model.training.phase import Phase
from model.training.settings import Settings
from model.training.trainer import Trainer
from pipeline.patches import online
from pipeline.patches.cut import LocatedFinding, Spot, cut_views
from pipeline.patches.ranges import Ranges
from pipeline.patches.views import Frame, View, centre, resample
from pipeline.slice_store import SourceSlice
from pipeline.store import read_info, read_margins, read_patches
from tests.stores import make_store

CPU = torch.device("cpu")
FINDING = LocatedFinding("p", "1", (Spot(0, "file", 60.0, 55.0, 0.5, 0.75),))
EXTENT, SIDE = "24 mm", 40


def picture() -> SourceSlice:
    """Waves of at least ten pixels, which every resampling keeps to a few percent."""
    rows, columns = np.indices((120, 130))
    return SourceSlice(np.float32(np.sin(rows / 7) + np.cos(columns / 9 + rows / 30)), 0.0, 1.0)


class TestViews:
    def test_the_middle_of_the_stored_patch_is_the_unaugmented_view(self) -> None:
        plain = cut_views(FINDING, [picture()], EXTENT, SIDE, 3, 0)
        wide = cut_views(FINDING, [picture()], EXTENT, SIDE, 3, 0, online.margin(SIDE))
        assert wide.patches.shape == (1, 1, SIDE + 2 * online.margin(SIDE), SIDE + 2 * online.margin(SIDE))
        middle = online.cut(wide.patches[0], SIDE, wide.aspect, View())
        np.testing.assert_allclose(middle, plain.patches[0], atol=1e-5)

    @pytest.mark.parametrize("number", range(3))
    def test_a_view_of_it_is_that_view_of_the_slice(self, number: int) -> None:
        """Pixels of the patch are 0.6 mm, those of the slice 0.5 × 0.75 mm: both turn in mm."""
        view = online.draw(SIDE, "any", number)
        wide = cut_views(FINDING, [picture()], EXTENT, SIDE, 1, 0, online.margin(SIDE))
        frame = Frame(60.0, 55.0, 24 / 0.5 / SIDE, 24 / 0.75 / SIDE, 1.5, SIDE)
        straight = resample(picture().normalized, frame, [view])
        np.testing.assert_allclose(online.cut(wide.patches[0], SIDE, wide.aspect, view), straight, atol=0.02)

    def test_zoom_shows_more_and_drop_moves_down(self) -> None:
        rows, columns = np.indices((81, 81)).astype("f4")
        frame = Frame(40.0, 40.0, 1.0, 1.0, side=21)
        (wider,) = resample(columns, frame, [View(zoom=1.5)])
        np.testing.assert_allclose(wider[10], 40 + 1.5 * (np.arange(21) - 10), atol=1e-3)
        (lower,) = resample(rows, frame, [View(drop=2)])
        np.testing.assert_allclose(lower[:, 10], np.arange(21) + 32, atol=1e-3)

    @given(side=st.integers(8, 300), number=st.integers())
    @settings(max_examples=100)
    def test_no_corner_leaves_the_stored_patch(self, side: int, number: int) -> None:
        whole = side + 2 * online.margin(side)
        frame = Frame(centre(whole), centre(whole), 1.0, 1.0, 1.0, side)
        matrix = frame.matrix(online.draw(side, number))
        corners = matrix @ np.array([[a, b, 1] for a in (0, side - 1) for b in (0, side - 1)]).T
        assert corners.min() >= 0
        assert corners.max() <= whole - 1

    def test_draws_keep_within_what_is_documented_and_reach_it(self) -> None:
        views = [online.draw(100, number) for number in range(2000)]
        for name, most in (("rotation", 20), ("shift", 4), ("drop", 4), ("log zoom", np.log(1.12))):
            values = np.log([view.zoom for view in views]) if name == "log zoom" else [
                getattr(view, name) for view in views
            ]  # fmt: skip
            assert max(map(abs, values)) <= most + 1e-12
            assert min(max(values), -min(values)) > 0.99 * most
        assert 900 < sum(view.flip for view in views) < 1100  # 2,000 coins: a standard deviation of 22


ROMERO = Ranges(rotation=10, scale=0, shift=7 / 236, brightness=0)
"""Romero et al., section II.C: width 250, rotation up to 10 degrees, a crop of 236 × 236."""


class TestRanges:
    def test_a_view_of_romero_is_a_crop_of_the_picture_at_a_width_of_250(self) -> None:
        """The picture has 125 pixels, so that both ways only make it larger; pixel 7 is the first of the middle."""
        rows, columns = np.indices((125, 125))
        pixels = SourceSlice(np.float32(np.sin(rows / 7) + np.cos(columns / 9 + rows / 30)), 0.0, 1.0)
        finding = LocatedFinding("p", "1", (Spot(0, "file", 62.0, 62.0, np.nan, np.nan),))
        margin = online.margin(236, ROMERO)
        wide = cut_views(finding, [pixels], "118/125 width, 118/125 height", 236, 1, 0, margin)
        (whole,) = cut_views(finding, [pixels], "whole", 250, 1, 0).patches[0]
        found = online.cut(wide.patches[0], 236, wide.aspect, View(shift=3, drop=-5))[0]
        np.testing.assert_allclose(found, whole[2 : 2 + 236, 10 : 10 + 236], atol=5e-3)

    def test_draws_keep_within_them_and_reach_them(self) -> None:
        views = [online.draw(236, number, ranges=ROMERO) for number in range(500)]
        for values, most in (
            ([v.rotation for v in views], 10),
            ([v.shift for v in views], 7),
            ([v.drop for v in views], 7),
        ):
            assert max(map(abs, values)) <= most + 1e-12
            assert min(max(values), -min(values)) > 0.98 * most
        assert {view.zoom for view in views} == {1.0}
        assert online.brightness("x", ranges=ROMERO) == 0

    def test_a_store_says_them_and_its_views_keep_to_them(self, tmp_path: Path) -> None:
        """The mean over the image and four copies, as Romero et al. have it, is that of five views."""
        still = Ranges(rotation=0, scale=0, shift=0, brightness=0)
        store, split = make_store(tmp_path, "a", train=4, views=5, side=36, margin=4, online=asdict(still))
        part = data.read_part(data.load([store], [split])["a"], "train", CPU)
        drawn = part.patches.drawn(torch.arange(20), "x")
        for view in read_patches(store, [1], [5]):  # nothing but flips is left of them
            plain = read_patches(store, [1], [1])[0]
            assert min(abs(view - each).max() for each in (plain, plain[..., ::-1])) < 1e-5
        plain = read_patches(store, [0], [1])[0]
        assert min(abs(drawn[0].numpy() - each).max() for each in (plain, plain[..., ::-1])) < 1e-5
        assert len(read_patches(store, [1], [5])) == 5


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_store(
        tmp_path_factory.mktemp("online"), "a", train=10, validation=4, views=4, margin=online.margin(65)
    )


class TestStore:
    def test_it_says_the_side_of_a_view_and_how_many_there_may_be(self, stores: tuple[Path, Path]) -> None:
        info = read_info(stores[0])
        assert (info.side, info.views, info.stored, info.margin) == (65, 4, 1, 19)

    def test_views_do_not_depend_on_what_is_read_with_them(self, stores: tuple[Path, Path]) -> None:
        store, _ = stores
        alone = [read_patches(store, [number], [4]) for number in range(3)]
        np.testing.assert_array_equal(read_patches(store, [2, 0, 1], [4, 2, 3]),
                                      np.concatenate([alone[2], alone[0][:2], alone[1][:3]]))  # fmt: skip
        lazy = Views(store, np.repeat([0, 1, 2], 4), np.tile(range(4), 3), CPU)
        np.testing.assert_array_equal(torch.cat(list(lazy.split(5))), np.concatenate(alone))
        np.testing.assert_array_equal(lazy[torch.tensor([11, 1, 4])], np.stack(
            [alone[2][3], alone[0][1], alone[1][0]]))  # fmt: skip
        assert not np.array_equal(alone[0][1], alone[0][2])

    def test_training_sees_other_views_in_each_step_and_the_same_ones_again(
        self, stores: tuple[Path, Path]
    ) -> None:
        lazy = Views(stores[0], np.array([3, 5]), np.array([0, 0]), CPU)
        both = torch.tensor([0, 1])
        first = lazy.drawn(both, "seed", 0)
        assert torch.equal(first, lazy.drawn(both, "seed", 0))
        assert not torch.equal(first, lazy.drawn(both, "seed", 1))
        margins = read_margins(stores[0], [5])
        again = online.cut(margins.patches[0], 65, 1.0, online.draw(65, "seed", 0, 1))
        np.testing.assert_allclose(first[1], again + online.brightness("seed", 0, 1), atol=1e-6)

    def test_a_store_that_was_made_anew_is_read_anew(self, tmp_path: Path) -> None:
        found = []
        for count in (4, 6):
            store, _ = make_store(tmp_path, "a", train=count, views=4, side=36, margin=4)
            ids = read_info(store).findings[["patient_id", "finding_id"]]
            last = len(ids) - 1
            assert read_margins(store, [last]).names == [tuple(ids.iloc[last])]
            found.append(last)
        assert found[0] < found[1]

    def test_memory_does_not_grow_with_the_store(self, tmp_path: Path) -> None:
        peaks = []
        for count in (20, 120):
            made = make_store(tmp_path / str(count), "a", train=count, views=4, margin=online.margin(65))
            (dataset,) = data.load([made[0]], [made[1]]).values()
            network = build(["a"])
            initialize(network, "x")
            tracemalloc.start()
            part = data.read_part(dataset, "train", CPU)
            assert len(part.labels) == 4 * count
            part.patches.drawn(torch.arange(8), "x")
            for _ in part.patches.split(16):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        # A hundred findings more are 4.2 MB as stored, and 6.8 MB as four views of each.
        assert peaks[1] - peaks[0] < 500_000


def train(
    stores: tuple[Path, Path], folder: Path, cut: int | None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, torch.Tensor]:
    """Six steps, of a run that ends after ``cut`` of them or goes on from its checkpoint."""
    save = Trainer._save

    def saving(made: Trainer, current: Phase) -> None:
        save(made, current)
        if made.progress.step == cut:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save", saving)
        datasets = data.load([stores[0]], [stores[1]])
        network = build(datasets)
        initialize(network, "train")
        phase = Phase("training", ("a",), 2, 16, 1e-3, 3, 0.0)
        with Folder(folder, "x") as checkpoint:
            chosen = Settings(seed=0, target="a", every=1, follow=False)
            made = Trainer(network, datasets, [phase], chosen, checkpoint, CPU, checkpoint_seconds=0)
            last = made.run()
    scores = evaluate(network, "a", last["statistics.a"], data.read_part(datasets["a"], "test", CPU))
    return last | {"scores": torch.from_numpy(scores.views)}


def test_a_run_that_was_cut_ends_with_the_same_bytes(
    stores: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(stores, tmp_path / "whole", None, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(stores, tmp_path / "cut", 4, monkeypatch)
    again = train(stores, tmp_path / "cut", None, monkeypatch)
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    assert len(whole["scores"]) == 16
