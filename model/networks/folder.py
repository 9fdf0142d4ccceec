"""A vision model from a local folder in Hugging Face's format, such as DINOv2, DINOv3, RAD-DINO or SigLIP.

``config.json`` says what it is, and goes into model files; ``model.safetensors`` has its weights. Nothing is
downloaded, and no code of the folder runs. Features are what the model pools, else those of its class token.
"""

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.networks import base, description, library
from pipeline.errors import ConfigError

ARGUMENT = "PATH"
NEEDS = "transformers"
WEIGHTS = "model.safetensors"
LEFT_OUT = ("architectures", "auto_map", "dtype", "torch_dtype", "transformers_version")
"""Of config.json: they build nothing."""
SPREAD = 0.25
"""Standard deviation of pictures, in parts of the way from black to white: about that of ImageNet's."""


def options(path: str) -> tuple[str, dict[str, Any]]:
    """The name of a folder, and what its network is built with."""
    config = description(Path(path, "config.json"))
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT and not key.startswith("_")}
    seen = Path(path, "preprocessor_config.json")
    deviations = (description(seen) if seen.is_file() else {}).get("image_std") or [SPREAD]
    scale = min(1.0, SPREAD * len(deviations) / sum(deviations))
    return Path(path).name, {"config": kept, "scale": round(scale, 3)}


class Extractor(base.Extractor):
    """Patches (n, channels, side, side) of Z-scores to features (n, width)."""

    def __init__(self, channels: int, side: int, *, name: str, options: Mapping[str, Any]) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        transformers = library(NEEDS)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            scale = float(options["scale"])
            self._published = _config(transformers, options["config"])
            model = _model(transformers, _config(transformers, options["config"], base.planes(channels)))
            width = int((getattr(model.config, "hidden_sizes", None) or [model.config.hidden_size])[-1])
            step = int(getattr(model.config, "patch_size", 1))
            if model.main_input_name != "pixel_values":
                raise ValueError(f"{type(model).__name__} sees {model.main_input_name}")
        except Exception as error:  # whatever the library makes of a description that it does not know
            told = f"{type(error).__name__}: {error}"
            raise ConfigError(told, file=f"network folder:{name}", expected="a vision model") from error
        if side % step:
            expected = f"a multiple of {step}, the side of what {name} takes for a token"
            raise ConfigError(f"{side} pixels", file="patch", expected=expected)
        super().__init__(width)
        self.planes, self.scale = base.planes(channels), scale
        for part in model.modules():
            if "mask_token" in part._parameters:
                part.mask_token = None  # only pre-training has it
        self.model: Any = model
        self.dropout = base.Dropout()
        takes = inspect.signature(model.forward).parameters
        self._more = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in takes else {}

    def forward(self, patches: Tensor) -> Tensor:
        """Features (n, width)."""
        found = self.model(pixel_values=base.pictures(patches, self.planes, self.scale), **self._more)
        features = getattr(found, "pooler_output", None)
        if features is None:
            features = found.last_hidden_state[:, 0]
        return torch.as_tensor(self.dropout(features.flatten(1).contiguous()))

    def groups(self) -> list[list[nn.Module]]:
        """What is before the blocks, each block, and what is after them."""
        return base.layers_of(self.model)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As transformers renames it, without classifier, text model and what only pre-training has."""
        own, kind = self.state_dict(), type(self.model)
        loaded, told = kind.from_pretrained(
            None, config=self._published, state_dict=dict(state), dtype=torch.float32,
            output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
        parts = {name for name, _ in self.model.named_children()}
        found = {name: value for name, value in loaded.state_dict().items() if f"model.{name}" in own}
        found = {name: value for name, value in found.items() if name not in told["missing_keys"]}
        found |= {name: torch.zeros(given) for name, given, _ in told["mismatched_keys"]}
        for name in told["unexpected_keys"]:
            inner = name.removeprefix(f"{kind.base_model_prefix}.")
            if inner.partition(".")[0] in parts:
                found[inner] = torch.zeros(0)
        return {f"model.{name}": value for name, value in found.items()}


def _config(transformers: Any, given: Mapping[str, Any], planes: int | None = None) -> Any:
    """The description of a model, of so many input planes."""
    others = {key: value for key, value in given.items() if key != "model_type"}
    more = {} if planes is None else {"num_channels": planes}
    return transformers.AutoConfig.for_model(given["model_type"], **others | more)


def _model(transformers: Any, config: Any) -> Any:
    """A model, without a last layer that folders of classifiers lack, where it has a class token."""
    if "vit" in config.model_type:
        try:
            return transformers.AutoModel.from_config(config, dtype=torch.float32, add_pooling_layer=False)
        except TypeError:  # of a model that has no such layer
            pass
    return transformers.AutoModel.from_config(config, dtype=torch.float32)
