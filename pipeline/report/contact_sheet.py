"""Pictures to look at before believing a number: contact sheet, red dots, alignment of channels."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.classes import said
from pipeline.cli import run_cli
from pipeline.errors import EmptyError, InputError
from pipeline.files import read_csv
from pipeline.patches.views import centre
from pipeline.readers.pixels import COLOURS
from pipeline.report.drawing import (
    GAP,
    RED,
    STYLE,
    colour,
    finish,
    gray,
    limits,
    mosaic,
    names,
    of_label,
    save,
    spread,
)
from pipeline.report.red_dots import red_dots
from pipeline.splits import people
from pipeline.store import StoreInfo, read_info, read_patches

log = logging.getLogger("typhon")

PICTURES = {
    "contact-sheet": "patches of each label, as they are and augmented",
    "red-dots": "slices with a dot at the finding, and the dot in the patches",
    "alignment": "stacked channels side by side and overlaid",
}


def counts(info: StoreInfo, findings: pd.DataFrame | None = None) -> str:
    """What a store holds, in a line; with findings.csv it says of how many patients, or that nobody knows."""
    table = info.findings
    has = info.classes.counts(table)
    each = ", ".join(f"{count} {name}" for name, count in has.items())
    if info.classes.two:
        negative, positive = has.values()
        each = f"{positive} of label 1, {negative} of label 0"
    groups = f"{table['group_id'].nunique()} groups"
    who = groups if findings is None else people.counted(people.of_findings(table, findings))
    return f"{len(table)} findings ({each}) of {who}, {info.views} views of each"


@mpl.rc_context(STYLE)
def contact_sheet(
    store: str | Path,
    *,
    table: str | Path | None = None,
    findings: int = 6,
    views: int = 6,
    channel: str = "",
    licence: str = "",
) -> Figure:
    """View 0 of ``findings`` findings of each label beside ``views`` of their augmented views.

    Red, green and blue are shown as a colour, unless one ``channel`` is asked for; of others the first is.
    ``table`` is findings.csv, which knows whether patients are known.

    Raises InputError for a channel that the store does not have.
    """
    info = read_info(store)
    in_colour = not channel and info.channels == COLOURS
    planes = [0, 1, 2] if in_colour else [_channel(info, channel or info.channels[0])]
    chosen = [of_label(info, label, findings) for label in range(len(info.classes.names))]
    shown = list(dict.fromkeys(number for numbers in chosen for number in numbers))
    if not shown:
        raise EmptyError("none", file=store, expected="findings")
    views = min(views, info.views - 1)
    patches = read_patches(store, shown, [views + 1] * len(shown))[:, planes]
    patches = patches.reshape(len(shown), views + 1, len(planes), info.side, info.side)
    window = limits(patches[:, 0])
    tallest, high, wide = max(map(len, chosen)), -(-len(chosen) // 2), 2
    size = max(8.2, 2.0 + 1.28 * (views + 1)), 1.0 + 0.62 * tallest + (high - 1) * (0.5 + 0.62 * tallest)
    figure, blocks = plt.subplots(high, wide, figsize=size, layout="constrained", squeeze=False)
    for axes in blocks.flat[len(chosen) :]:
        axes.set_axis_off()
    for label, (title, axes) in enumerate(zip(info.classes.titles, blocks.flat, strict=False)):
        part = np.full((tallest, *patches.shape[1:]), np.nan)
        part[: len(chosen[label])] = patches[[shown.index(number) for number in chosen[label]]]
        images = []
        for number in range(len(planes)):
            # A wider gap sets the patches as they are apart from their augmented views.
            first, others = mosaic(part[:, :1, number]), mosaic(part[:, 1:, number])
            images.append(np.hstack([first, np.full((len(first), 3 * GAP), np.nan), others]))
        if in_colour:
            colour(axes, images, window)
        else:
            gray(axes, images[0], window)
        # Names of more classes may be long: they stand on a line of their own.
        axes.text(0, -4 if info.classes.two else -19, title, fontsize=9, weight="bold")
        if views:
            axes.text(info.side + 3 * GAP, -4, "turned, flipped and shifted", fontsize=9)
        for row, name in enumerate(names(info.findings, chosen[label])):
            axes.text(
                -4, row * (info.side + GAP) + centre(info.side), name, ha="right", va="center", fontsize=6.5
            )
    known = None if table is None else read_csv(table)
    apart = " " if info.classes.two else "\n"
    what = "in colour" if in_colour else info.channels[planes[0]]
    finish(figure, f"{info.dataset}, {what}:{apart}{counts(info, known)}", licence)
    return figure


def _channel(info: StoreInfo, name: str) -> int:
    if name not in info.channels:
        raise InputError(f"{name!r}", file=info.path, expected=f"a channel of {', '.join(info.channels)}")
    return info.channels.index(name)


@mpl.rc_context(STYLE)
def alignment(store: str | Path, *, count: int = 6, licence: str = "") -> Figure:
    """The channels of the same findings side by side and overlaid in red, green and blue.

    Raises InputError for a store of one channel.
    """
    info = read_info(store)
    if len(info.channels) < 2:
        raise InputError(f"only {info.channels[0]}", file=store, expected="two or more channels")
    shown = spread(np.arange(len(info.findings)), count)
    patches = read_patches(store, shown, [1] * len(shown))
    windows = [limits(patches[:, plane]) for plane in range(len(info.channels))]
    scaled = np.stack(
        [(patches[:, plane] - low) / (high - low) for plane, (low, high) in enumerate(windows)], axis=1
    ).clip(0, 1)
    columns = len(info.channels) + 1
    figure, grid = plt.subplots(
        len(shown),
        columns,
        figsize=(1.2 + 1.3 * columns, 0.8 + 1.3 * len(shown)),
        layout="constrained",
        squeeze=False,
    )
    for row, (axes, channels) in enumerate(zip(grid, scaled, strict=True)):
        for plane, image in enumerate(channels):
            gray(axes[plane], image, (0, 1))
        colours = np.zeros((*channels.shape[1:], 3))
        colours[..., : min(3, len(channels))] = np.moveaxis(channels[:3], 0, -1)
        axes[-1].imshow(colours, interpolation="nearest")
        axes[-1].set_axis_off()
        for each in axes:
            each.axhline(centre(info.side), color=RED, linewidth=0.4)
            each.axvline(centre(info.side), color=RED, linewidth=0.4)
        name = f"{names(info.findings, [shown[row]])[0]}\n{said(info.findings.iloc[shown[row]].to_dict())}"
        axes[0].text(-4, centre(info.side), name, ha="right", va="center", fontsize=6.5)
    for axes, title in zip(grid[0], [*info.channels, ", ".join(COLOURS[: len(info.channels)])], strict=True):
        axes.set_title(title)
    finish(figure, f"{info.dataset}: channels of the same tissue", licence)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a picture of a data set: contact-sheet, red-dots or alignment."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.report.contact_sheet", description=main.__doc__)
    told = "; ".join(f"{kind}: {text}" for kind, text in PICTURES.items())
    parser.add_argument("kind", choices=PICTURES, help=told)
    parser.add_argument("--store", type=Path, required=True, help="patches.h5")
    parser.add_argument("--findings", type=Path, help="findings.csv; red-dots needs it")
    parser.add_argument("--slices", type=Path, help="slices.h5; red-dots needs it")
    parser.add_argument("--channel", default="", help="channel of the contact sheet (default: the first)")
    parser.add_argument("--licence", default="", help="a line of attribution at the foot")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    args = parser.parse_args(argv)
    if args.kind == "red-dots" and not (args.findings and args.slices):
        parser.error("red-dots needs --findings and --slices")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.kind == "contact-sheet":
        figure = contact_sheet(args.store, table=args.findings, channel=args.channel, licence=args.licence)
    elif args.kind == "red-dots":
        figure = red_dots(args.findings, args.slices, args.store, licence=args.licence)
    else:
        figure = alignment(args.store, licence=args.licence)
    save(figure, args.out)
    log.info("%s", args.out)


if __name__ == "__main__":
    run_cli(main)
