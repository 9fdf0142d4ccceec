"""The architecture of multi-task training, with the tasks, the counts and the network of a run."""

import json
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from safetensors import safe_open

from model.report.drawing import COLOURS, GREY, figure

ROW = 0.62
"""Height of a task in inches."""
PLACES = {"task": 0.0, "batch": 3.1, "body": 4.2, "features": 6.6, "head": 7.6, "loss": 10.3}
"""Left edges of the columns, and the width of all."""
WIDTH = 11.2


def plot_architecture(run: Path) -> Figure:
    """Tasks, mixed batch, shared body, routed features, a head for each task, and the loss of all (Figure 1).

    Parameters
    ----------
    run : folder of a run with mixed batches: its ``model.safetensors`` and ``run.json``.
    """
    with safe_open(run / "model.safetensors", "np") as file:
        network = json.loads(file.metadata()["about"])["network"]
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    trained: dict[str, int] = json.loads((run / "run.json").read_text(encoding="utf-8"))["trained"]
    outputs = network["outputs"]
    classes = {name: outputs if isinstance(outputs, int) else outputs[name] for name in trained}
    body = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("extractor."))
    count, total = len(trained), sum(trained.values())
    height = max(4, count)
    made = figure(WIDTH, ROW * height + 0.9)
    axes = made.add_subplot(xlim=(-0.05, WIDTH), ylim=(-0.9, height + 0.2))
    axes.axis("off")
    middle = (height - 1) / 2
    told = f"shared body θs\n{network['network']}\n{body:,} weights"
    _box(axes, "body", 2.0, middle, told, "white", height=min(height, 5) * 0.55)
    _box(axes, "loss", 0.8, middle, "loss\nmean over\nthe batch", "white", height=1.6)
    for row, (name, samples) in enumerate(trained.items()):
        y, colour = height - 1 - row - (height - count) / 2, COLOURS[row % len(COLOURS)]
        width = max(shape[-1] for key, shape in shapes.items() if key.startswith(f"makers.{name}."))
        told = f"{name}\n{classes[name]} classes, {samples:,} samples"
        _box(axes, "task", 2.7, y, told, colour)
        # A square of the batch and of its features for each task, as high as its share of the samples.
        start = (height - 1) - sum(list(trained.values())[: row + 1]) / total * (height - 1)
        share = samples / total * (height - 1)
        _arrow(axes, (2.7, y), (PLACES["batch"], start + share / 2), colour)
        for place in ("batch", "features"):
            axes.add_patch(
                Rectangle((PLACES[place], start), 0.45, share, color=colour, alpha=0.8, linewidth=0)
            )
        _arrow(axes, (PLACES["features"] + 0.45, start + share / 2), (PLACES["head"], y), colour)
        _box(axes, "head", 2.1, y, f"head θ{row + 1}: {width:,} × {classes[name]}\nsoftmax S", colour)
        _arrow(axes, (PLACES["head"] + 2.1, y), (PLACES["loss"], middle), colour)
    for one, other in ((PLACES["batch"] + 0.45, PLACES["body"]), (PLACES["body"] + 2.0, PLACES["features"])):
        _arrow(axes, (one, middle), (other, middle), "black")
    for place, text in (("batch", "mixed\nbatch x"), ("features", "features z,\nrouted by task")):
        axes.text(PLACES[place] + 0.22, -0.25, text, ha="center", va="top", fontsize=8)
    axes.set_title(f"{count} tasks, {sum(classes.values())} classes, {total:,} samples", loc="left")
    return made


def _box(
    axes: Axes, place: str, width: float, y: float, text: str, colour: str, height: float = 0.74
) -> None:
    """A rounded box whose left edge is that of a column, with its text in the middle."""
    left = PLACES[place]
    edge = GREY if colour == "white" else colour
    axes.add_patch(
        FancyBboxPatch((left, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.08",
                       facecolor="white", edgecolor=edge, linewidth=1.5)
    )  # fmt: skip
    axes.text(left + width / 2, y, text, ha="center", va="center", fontsize=8)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, color=colour, linewidth=1, alpha=0.8,
                        shrinkA=2, shrinkB=2)
    )  # fmt: skip
