"""A picture of transfers: the test AUROC of each target by way, a mark for each source."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from model.report.drawing import COLOURS, draw_chance, figure

Row = tuple[str, str, str, float | None, tuple[float, float] | None]
"""Target, way, source, AUROC and its 95 % interval; either None where there is none."""
APART = 0.2
"""Between the marks of two sources, in ways."""


def plot_transfers(rows: Sequence[Row]) -> Figure:
    """A panel per target; in it a column per way, with a mark and its interval per source."""
    targets, ways, sources = (list(dict.fromkeys(row[place] for row in rows)) for place in range(3))
    made = figure(2.2 + 1.1 * len(ways) * len(targets), 4.6)
    panels = made.subplots(1, len(targets), squeeze=False, sharey=True)[0]
    for axes, target in zip(panels, targets, strict=True):
        for place, source in enumerate(sources):
            own = [row for row in rows if (row[0], row[2]) == (target, source) and row[3] is not None]
            colour, marker = COLOURS[place % len(COLOURS)], "os^Dv<>P"[place // len(COLOURS) % 8]
            x = [ways.index(row[1]) + APART * (place - (len(sources) - 1) / 2) for row in own]
            axes.plot(
                x,
                [row[3] for row in own],
                linestyle="",
                marker=marker,
                markersize=6,
                color=colour,
                label=source,
            )
            for at, row in zip(x, own, strict=True):
                if row[4] is not None:
                    axes.plot([at, at], list(row[4]), color=colour, linewidth=1.4, alpha=0.6)
        draw_chance(axes)
        axes.set_xticks(range(len(ways)), ways)
        axes.set_xlim(-0.6, len(ways) - 0.4)
        axes.grid(visible=False, axis="x")
        axes.set_title(target, loc="left")
    panels[0].set_ylabel("test AUROC per finding, 95 % over patients")
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=len(sources))
    return made
