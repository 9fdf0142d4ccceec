"""A model of timm, by its name there; weights from a file with its names of layers, none is downloaded.

Z-scores are seen as they are, or halved by a model whose pictures went from -1 to 1. Vision transformers are
made for the side of the patches.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from model.networks import base, library
from pipeline.errors import ConfigError

ARGUMENT = "NAME"
NEEDS = "timm"
HALVED = 0.5
"""Standard deviation by which pictures are divided that then go from -1 to 1."""


def options(name: str) -> tuple[str, dict[str, Any]]:
    """The name, and nothing besides."""
    return name, {}


class Extractor(base.Extractor):
    """Patches (n, channels, side, side) of Z-scores to features (n, width)."""

    def __init__(self, channels: int, side: int, *, name: str, options: Mapping[str, Any]) -> None:
        timm = library(NEEDS)
        if options or not timm.is_model(name):
            raise ConfigError(f"timm:{name}", file="network", expected="the name of a model of timm")
        about = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        planes = base.planes(channels)
        sized = {"img_size": side} if about.fixed_input_size else {}
        try:
            model = timm.create_model(name, pretrained=False, num_classes=0, in_chans=planes, **sized)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            told = f"{type(error).__name__}: {error}"
            raise ConfigError(
                told, file=f"network timm:{name}", expected="a model for such patches"
            ) from error
        super().__init__(int(getattr(model, "head_hidden_size", model.num_features)))
        self.planes, self.scale = planes, HALVED if about.std[0] == HALVED else 1.0
        self.model: nn.Module = model
        self._about = about
        self.dropout = base.Dropout()

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width)."""
        features = self.model(base.pictures(patches, self.planes, self.scale))
        return torch.as_tensor(self.dropout(features.contiguous()))

    def groups(self) -> list[list[nn.Module]]:
        """What is before the longest row of blocks, each block, and what is after them."""
        return base.layers_of(self.model)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Without the classifier."""
        named = self._about.classifier or ()
        heads = tuple(f"{name}." for name in ([named] if isinstance(named, str) else named))
        return {f"model.{name}": value for name, value in state.items() if not name.startswith(heads)}
