"""What may happen to a picture between the scanner and a network: noise, blur, lost contrast, turns, JPEG.

Of each kind three strengths (after Hendrycks & Dietterich 2019, who have five). They change patches as they
are stored, so a strength means the same whatever a patch's values are: Z-scores, or 8 bits.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from pipeline.seeds import stream

GREYS = 255
"""Steps of an 8-bit picture."""


def noise(patches: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Normal noise of ``strength`` standard deviations of each patch and channel."""
    deviation = patches.std(axis=(2, 3), keepdims=True)
    return np.asarray(patches + strength * deviation * random.standard_normal(patches.shape, "f4"))


def blur(patches: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """What a Gaussian of ``strength`` pixels leaves of them."""
    return np.asarray(ndimage.gaussian_filter(patches, (0, 0, strength, strength), mode="nearest"))


def contrast(patches: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """Each patch and channel nearer to its mean, by the share ``strength``."""
    mean = patches.mean(axis=(2, 3), keepdims=True)
    return np.asarray(mean + (1 - strength) * (patches - mean))


def rotation(patches: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Turned by ``strength`` degrees, each view to a side of its own; corners are mirrored."""
    sides = random.choice((-1, 1), len(patches))
    turned = [
        ndimage.rotate(patch, side * strength, (1, 2), reshape=False, order=1, mode="mirror")
        for patch, side in zip(patches, sides.tolist(), strict=True)
    ]
    return np.stack(turned)


def jpeg(patches: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """As a JPEG of quality 100 − ``strength`` gives them back, each patch and channel a grey picture.

    Its values are put on 0 … 255, from its lowest to its highest: 8 bits are a part of what it does.
    """
    changed = patches.copy()
    for channel in changed.reshape(-1, *changed.shape[2:]):
        low, high = channel.min(), channel.max()
        if low < high:
            step = (high - low) / GREYS
            channel[:] = low + step * _as_jpeg(np.rint((channel - low) / step), round(100 - strength))
    return changed


def _as_jpeg(greys: np.ndarray, quality: int) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(greys.astype("u1")).save(content, "JPEG", quality=quality)
    with Image.open(content, formats=["JPEG"]) as image:
        return np.asarray(image)


@dataclass(frozen=True)
class Corruption:
    """One kind of change, and how strong it is."""

    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    strengths: tuple[float, ...]
    unit: str


CORRUPTIONS = {
    "noise": Corruption(noise, (0.25, 0.5, 1), "SD of the patch"),
    "blur": Corruption(blur, (1, 2, 4), "pixels, SD of the Gaussian"),
    "contrast": Corruption(contrast, (0.25, 0.5, 0.75), "share that is lost"),
    "rotation": Corruption(rotation, (10, 30, 90), "degrees, to either side"),
    "jpeg": Corruption(jpeg, (50, 75, 90), "100 − quality"),
}
FILE = "robustness.csv"
"""Of a run: what it gives its test findings."""
OF = ("corruption", "strength")
"""Its columns that name a level."""
Level = tuple[str, float]
CLEAN: Level = ("none", 0.0)
"""As they are."""
LEVELS = (CLEAN, *((name, float(one)) for name, kind in CORRUPTIONS.items() for one in kind.strengths))


def corrupt(name: str, strength: float, patches: np.ndarray, *finding: object) -> np.ndarray:
    """The views of a finding, float32 (views, channels, side, side), changed; of strength 0 as they are.

    What is random about it depends on the kind and on ``finding``, its ids, alone: all strengths add the same
    noise, only more of it, and so do all methods.
    """
    if not strength:
        return patches
    changed = CORRUPTIONS[name].apply(patches, strength, stream("corruption", name, *finding))
    return changed.astype("f4", copy=False)
