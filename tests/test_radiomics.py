"""The 79 radiomic features: against a plain loop, scikit-image where it is installed, and values by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.baselines import radiomics
from model.baselines.radiomics import ANGLES, CLIP, DISTANCES, FEATURES, LEVELS, PROPERTIES, levels, measure


def named(patch: np.ndarray) -> dict[str, float]:
    """The features of one patch (rows, columns) by their names."""
    return dict(zip(FEATURES, measure(patch[None, None])[0], strict=True))


def plain(grey: np.ndarray, distance: int, angle: int) -> dict[str, float]:
    """The properties of one matrix, pair by pair, as scikit-image defines them."""
    down, right = (round(distance * turn(math.radians(angle))) for turn in (math.sin, math.cos))
    rows, columns = grey.shape
    pairs = [
        (int(grey[row, column]), int(grey[row + down, column + right]))
        for row in range(rows - down)
        for column in range(columns - right)
    ]
    matrix = np.zeros((LEVELS, LEVELS))
    for first, second in pairs:
        matrix[first, second] += 1 / len(pairs)
    ones, others = np.array(pairs, float).T
    constant = ones.std() * others.std() < 1e-12
    return {
        "contrast": np.mean((ones - others) ** 2),
        "dissimilarity": np.mean(np.abs(ones - others)),
        "homogeneity": np.mean(1 / (1 + (ones - others) ** 2)),
        "energy": math.sqrt((matrix**2).sum()),
        "correlation": 1.0 if constant else np.corrcoef(ones, others)[0, 1],
        "ASM": (matrix**2).sum(),
    }


def textures() -> np.ndarray:
    """Patches (n, 17, 17): noise, smooth, half and half, constant, and beyond the range."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(17, 17))
    halves = np.where(np.arange(17) < 8, -1.0, 1.0) * np.ones((17, 1))
    return np.stack([noise, noise.cumsum(0).cumsum(1) / 5, halves, np.full((17, 17), 0.3), 4 * noise])


@pytest.mark.parametrize("number", range(5))
def test_each_property_is_that_of_a_plain_loop_over_pairs(number: int) -> None:
    patch = textures()[number]
    found = named(patch)
    for distance in DISTANCES:
        for angle in ANGLES:
            for name, expected in plain(levels(patch), distance, angle).items():
                assert found[f"glcm_{name}_d{distance}_a{angle}"] == pytest.approx(expected, abs=1e-9), name


def test_each_property_is_that_of_scikit_image_where_it_is_installed() -> None:
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not here")
    for patch in textures():
        found = named(patch)
        matrices = feature.graycomatrix(
            levels(patch).astype("u1"), DISTANCES, np.radians(ANGLES), levels=LEVELS, normed=True
        )
        for name in PROPERTIES:
            expected = feature.graycoprops(matrices, name)
            for place, distance in enumerate(DISTANCES):
                for other, angle in enumerate(ANGLES):
                    value = found[f"glcm_{name}_d{distance}_a{angle}"]
                    assert value == pytest.approx(expected[place, other], abs=1e-9), name


def test_there_are_79_of_fixed_names() -> None:
    assert len(FEATURES) == len(set(FEATURES)) == 79
    assert FEATURES[0] == "glcm_contrast_d1_a0"
    assert FEATURES[71:] == ("glcm_ASM_d6_a90", "mean", "std", "moment2", "moment3", "moment4", "moment5", "entropy")  # fmt: skip
    assert len(radiomics.names(["t2", "adc"])) == measure(np.zeros((3, 2, 9, 9), "f4")).shape[1] == 158


def test_two_halves_are_worked_out_by_hand() -> None:
    """Columns 0 to 7 are −1, the others +1: levels 10 and 21, apart by 11."""
    found = named(textures()[2])
    assert levels(np.array([-1.0, 1.0])).tolist() == [10, 21]
    # To the right 1 of 16 pairs crosses the edge, downwards none.
    assert found["glcm_contrast_d1_a0"] == pytest.approx(121 / 16)
    assert found["glcm_dissimilarity_d1_a0"] == pytest.approx(11 / 16)
    assert found["glcm_ASM_d1_a0"] == pytest.approx((7 / 16) ** 2 + (1 / 16) ** 2 + (8 / 16) ** 2)
    assert found["glcm_contrast_d1_a90"] == 0
    assert found["glcm_correlation_d1_a90"] == pytest.approx(1)
    share = 8 / 17
    assert found["entropy"] == pytest.approx(-share * math.log2(share) - (1 - share) * math.log2(1 - share))


def test_moments_are_the_central_ones() -> None:
    patch = textures()[0]
    found = named(patch)
    for order in (2, 3, 4, 5):
        assert found[f"moment{order}"] == pytest.approx(stats.moment(patch, order, axis=None))
    assert found["std"] == pytest.approx(patch.std())


@pytest.mark.parametrize("value", [0.0, 2.5, -7.0])
def test_a_patch_of_one_value_has_finite_features(value: float) -> None:
    found = named(np.full((12, 12), value, "f4"))
    zero = ["std", "moment2", "moment5", "entropy", "glcm_contrast_d1_a0", "glcm_dissimilarity_d6_a45"]
    one = [f"glcm_{name}_d2_a90" for name in ("homogeneity", "energy", "correlation", "ASM")]
    assert [found[name] for name in zero] == [0] * len(zero)
    assert [found[name] for name in one] == [1] * len(one)


def test_levels_are_of_one_width_and_end_at_the_clip() -> None:
    width = 2 * CLIP / LEVELS
    middles = -CLIP + width * (np.arange(LEVELS) + 0.5)
    assert levels(middles).tolist() == list(range(LEVELS))
    assert levels(np.array([-99.0, -CLIP, CLIP, 99.0])).tolist() == [0, 0, LEVELS - 1, LEVELS - 1]


@given(st.integers(1, 150), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_patch_has_the_same_features_among_others(count: int, seed: int) -> None:
    patches = np.random.default_rng(seed).normal(size=(count, 1, 9, 9)).astype("f4")
    together = measure(patches)
    np.testing.assert_allclose(together[-1:], measure(patches[-1:]), rtol=1e-9, atol=1e-12)
