"""State dicts as other libraries write them, with weights drawn by the name of each tensor."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.seeds import stream


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of these shapes that keep the size of what goes through them, the same for everybody."""
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        values = torch.from_numpy(stream("published", name).standard_normal(shape).astype("f4"))
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            found[name] = 1 + 0.2 * values.abs()
        elif len(shape) > 1:
            found[name] = values * (2 / values[0].numel()) ** 0.5
        else:
            found[name] = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
    return found


def ramps(side: int) -> Tensor:
    """A picture (1, 3, side, side) of three ramps from -1 to 1: down, across, and their product."""
    ramp = torch.linspace(-1, 1, side)
    planes = [ramp[:, None].expand(side, side), ramp[None].expand(side, side), ramp[:, None] * ramp[None]]
    return torch.stack(planes)[None]
