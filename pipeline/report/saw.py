"""What the network saw of a case: its slices with the mark, and the patches cut from them."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from pipeline.case import Case
from pipeline.report.drawing import STYLE, finish, limits
from pipeline.report.red_dots import dot_offsets, draw_slice, draw_view

VIEWS = 4
"""How many views are drawn beside the slice, the un-augmented one first."""


@mpl.rc_context(STYLE)
def draw(case: Case, title: str, foot: str) -> Figure:
    """One row per channel: the whole slice with a dot at the point and the patch's outline, then patches."""
    count = min(VIEWS, len(case.views))
    figure, grid = plt.subplots(
        len(case.sources), count + 1, figsize=(2.6 + 1.5 * count, 0.8 + 2.4 * len(case.sources)),
        squeeze=False, layout="constrained", width_ratios=[1.7, *[1.0] * count],
    )  # fmt: skip
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (source, frame) in enumerate(zip(case.sources, case.frames, strict=True)):
        first, *others = grid[number]
        draw_slice(first, source.pixels, frame, case.rows["channel"].iloc[number])
        dots = dot_offsets(source.pixels.shape, frame, case.views[:count])
        patches = np.asarray(case.patches[:count, number])
        window = limits(patches)
        for axes, patch, view, dot in zip(others, patches, case.views, dots, strict=False):
            draw_view(axes, patch, window, view, dot)
    finish(figure, title, foot)
    return figure
