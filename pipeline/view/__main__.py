"""Look at images: slices by the wheel, times by the arrows, the grey window by the mouse.

wheel, ↑ ↓        slices; after the last one the next time, after the last time the next axis
Page Up, Page Down  ten slices; Home, End: the first and the last picture
← →               the same slice at another time
left button       drag: to the right a wider grey window, upwards a higher one (darker)
a, f, r, q        next axis, upside down, the window as at first, quit
"""

import argparse
import importlib
import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from pipeline.cli import run_cli
from pipeline.errors import ConfigError, DisplayError
from pipeline.report.drawing import DPI, save
from pipeline.view.opening import open_stack
from pipeline.view.stacks import AXES
from pipeline.view.window import Viewer, first_moves, marks

TOOLKITS = {
    "macosx": "matplotlib.backends._macosx",
    "qtagg": "matplotlib.backends.qt_compat",
    "tkagg": "tkinter",
}
"""What draws a window, and the module that is there if it can."""


def open_window() -> None:
    """Make matplotlib draw into a window; raises DisplayError without a toolkit or a display."""
    given = os.environ.get("MPLBACKEND")
    usable = [given] if given else [name for name in TOOLKITS if _is_there(name)]
    if not usable:
        raise DisplayError(
            "neither", expected="Tk or Qt, to open a window with",
            remedy="install python3-tk (apt install python3-tk), or PySide6-Essentials with pip",
        )  # fmt: skip
    try:
        plt.switch_backend(usable[0])
    except ImportError as error:
        raise DisplayError(
            f"none that {usable[0]} can open ({os.environ.get('DISPLAY') or 'DISPLAY is not set'})",
            expected="a display", remedy="work at a desktop, log in with ssh -X, or write --screenshot FILE",
        ) from error  # fmt: skip


def _is_there(toolkit: str) -> bool:
    try:
        importlib.import_module(TOOLKITS[toolkit])
    except ImportError:
        return False
    return (toolkit == "macosx") == (sys.platform == "darwin")


def plain_window() -> AbstractContextManager[None]:
    """Windows without the buttons and keys of matplotlib's own, which would come in between."""
    plain: Any = {"toolbar": "None"} | {name: [] for name in mpl.rcParams if name.startswith("keymap.")}
    return mpl.rc_context(plain)


def main(argv: Sequence[str] | None = None) -> None:
    """Show images in a window, or write one picture of them."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.view", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    what = "DICOM file or folder, NIfTI, MetaImage, NRRD, a picture, .npy, slices.h5, patches.h5"
    parser.add_argument("path", type=Path, metavar="PATH", help=what)
    parser.add_argument(
        "--series", default="", help="which series of a folder to show; without it, a line lists them"
    )
    parser.add_argument(
        "--axis",
        choices=[*AXES, "all"],
        default="z",
        help="axis of the slices; all: one axis after the other",
    )
    parser.add_argument("--flip", action="store_true", help="put the first row at the bottom")
    parser.add_argument("--findings", type=Path, metavar="CSV", help="mark the findings of this findings.csv")
    parser.add_argument("--slice", type=int, default=0, help="slice to show first, counted from 0")
    parser.add_argument("--time", type=int, default=0, help="time to show first, counted from 0")
    parser.add_argument(
        "--window", type=float, nargs=2, metavar=("LOW", "HIGH"), help="values that are black and white"
    )
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="write the picture and open no window")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.window and not -math.inf < args.window[0] < args.window[1] < math.inf:
        found = "{:g} and {:g}".format(*args.window)
        raise ConfigError(found, file="--window", expected="two numbers, the lower first")
    if args.screenshot is None:
        open_window()
    stack = open_stack(args.path, args.series)
    moves = first_moves(stack, args.axis, flip=args.flip)
    moves = moves.at(moves.axis, args.slice, args.time)
    if args.window:
        moves = moves.window(*args.window)
    marked = marks(stack, args.findings)
    with plain_window():
        figure = plt.figure(figsize=(7, 7.6), dpi=DPI)
        Viewer(figure, stack, moves, marked)
        if args.screenshot is None:
            manager = plt.get_current_fig_manager()
            assert manager is not None  # the figure has a window
            manager.set_window_title(f"{args.path.name} · {stack.name}")
            plt.show(block=True)
        else:
            save(figure, args.screenshot)


if __name__ == "__main__":
    run_cli(main)
