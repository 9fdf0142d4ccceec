"""The network and its training as anyone would write them with PyTorch: the reference for our speed."""

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.seeds import stream

DROPOUT = 0.3


def extractor(channels: int = 1, dropout: float = DROPOUT) -> nn.Sequential:
    """Patches (n, channels, 65, 65) to features (n, 256): Typhon's public architecture."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, 32), (32, 64), (64, 128)):
        for source, size in ((inputs, 3), (outputs, 3), (outputs, 1)):
            layers += [nn.Conv2d(source, outputs, size, bias=False), nn.BatchNorm2d(outputs), nn.ELU()]
        layers += [nn.Dropout(dropout), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 256), nn.ELU(), nn.Dropout(dropout))


def head(dropout: float = DROPOUT) -> nn.Sequential:
    """Features (n, 256) to logits (n, 2)."""
    first = [nn.Linear(256, 64), nn.ELU(), nn.Dropout(dropout)]
    return nn.Sequential(*first, nn.Linear(64, 16), nn.ELU(), nn.Linear(16, 2))


def fill(parts: list[nn.Module]) -> None:
    """The same random weights for any network with these layers in this order, ours or plain."""
    random = stream("bench", "weights")
    with torch.no_grad():
        for part in parts:
            for parameter in part.parameters():
                shape = tuple(parameter.shape)
                scale = (3 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
                offset = float(len(shape) == 1) * 0.5
                parameter.copy_(torch.from_numpy(offset + random.uniform(-scale, scale, shape)))


def batch_norm_table(channels: int = 672) -> np.ndarray:
    """Means and variances (2, channels) of all batch norms one after another, away from 0 and 1."""
    random = stream("bench", "statistics")
    return np.stack([random.normal(0, 0.1, channels), random.uniform(0.5, 1.5, channels)]).astype("f4")


def attach(network: nn.Module, table: np.ndarray) -> None:
    """Put batch-norm statistics into a plain network."""
    start = 0
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            part = torch.from_numpy(table[:, start : start + module.num_features])
            module.running_mean, module.running_var = part[0].clone(), part[1].clone()
            start += module.num_features


def train(
    network: nn.Module,
    heads: list[nn.Module],
    data: list[tuple[Tensor, Tensor]],
    epochs: int,
    batch_size: int,
) -> int:
    """Algorithm 1: in each epoch a batch of each data set in turn, an Adam for each head; samples trained."""
    optimizers = [torch.optim.Adam([*network.parameters(), *part.parameters()], 3e-4) for part in heads]
    orders = [torch.randperm(len(labels)).split(batch_size) for _, labels in data]
    network.train()
    samples = 0
    for epoch in range(epochs):
        for part, optimizer, order, (patches, labels) in zip(heads, optimizers, orders, data, strict=True):
            batch = order[epoch % len(order)]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(part(network(patches[batch])), labels[batch])
            loss.backward()
            optimizer.step()
            samples += len(batch)
    return samples


@torch.no_grad()
def predict(network: nn.Module, part: nn.Module, patches: Tensor, batch_size: int) -> Tensor:
    """Logits (n, 2) in ``eval()``."""
    network.eval()
    part.eval()
    return torch.cat([part(network(batch)) for batch in patches.split(batch_size)])
