"""The keys of encoders, and those encoders that every config has."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from workflow.config.types import Name, Pixels, Section, Text, Views


class Encoder(Section):
    """A fixed network."""

    network: str = "efficientnet_lite0"
    """network of the encoder, from docs/networks.md"""
    weights: Text = "imagenet"
    """weights of the encoder: `imagenet` if the network has such weights, `folder` for a `folder:PATH`,
    `random`, a file (.safetensors, .pth, .pt), or `results/METHOD`, the extractors of runs"""
    side: Pixels | None = 160
    """width and height to which patches are resized; null is `patch`"""
    features: Literal["last", "layers"] = "last"
    """what the network ends in, or mean and standard deviation of each layer before the last besides"""
    views: Views = 16
    """number of views of each finding that are embedded, if that many are stored"""


USUAL: Mapping[str, Mapping[str, Any]] = {
    "lite0": {},
    "lite0-96": {"side": 96},
    "lite0-layers": {"features": "layers", "side": 128},
}
"""The encoders of every config, with what each has that is not an encoder's default."""


def beside_usual(given: Any) -> Any:
    """The encoders of a config, with the usual ones, whose keys stay unless the config sets them.

    >>> beside_usual({"own": {"side": 224}, "lite0-96": {"views": 8}})["lite0-96"]
    {'side': 96, 'views': 8}
    """
    if not isinstance(given, Mapping) or not all(isinstance(own, Mapping) for own in given.values()):
        return given  # the types say what is wrong with it
    return {name: {**USUAL.get(name, {}), **given.get(name, {})} for name in {**USUAL, **given}}


Encoders = Annotated[dict[Name, Encoder], BeforeValidator(beside_usual)]
USUAL_ENCODERS = {name: Encoder(**own) for name, own in USUAL.items()}
