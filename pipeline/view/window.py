"""A figure that shows one picture of a stack, and turns the events of its window into moves."""

import functools
from collections.abc import Callable, Sequence
from math import floor
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import KeyEvent, LocationEvent, MouseEvent
from matplotlib.figure import Figure

from pipeline.classes import said
from pipeline.errors import ColumnError, InputError, UnreadableError
from pipeline.readers import labels
from pipeline.readers.pixels import UNDECLARED_PADDING_HU
from pipeline.report.drawing import RED, limits, spread
from pipeline.view.moves import Moves
from pipeline.view.stacks import AXES, Stack, place_of

MARK_COLUMNS = ("patient_id", "finding_id", "file", "sop_instance_uid", "slice", "column", "row")
SAMPLED = 9
"""Pictures from which the first grey window is taken."""
KEYS: dict[str, Callable[[Moves], Moves]] = {
    "up": lambda moves: moves.step(1),
    "down": lambda moves: moves.step(-1),
    "pageup": lambda moves: moves.step(10),
    "pagedown": lambda moves: moves.step(-10),
    "home": lambda moves: moves.step(-moves.total),
    "end": lambda moves: moves.step(moves.total),
    "right": lambda moves: moves.step_time(1),
    "left": lambda moves: moves.step_time(-1),
    "a": Moves.turn,
    "f": Moves.turn_over,
}


def first_moves(stack: Stack, axis: str, *, flip: bool) -> Moves:
    """The first picture of a stack along ``axis`` (``all``: along each), with a window that fits many.

    Raises InputError for an axis that the stack does not have, or if no picture can be read.
    """
    counts = stack.counts
    chosen = list(counts) if axis == "all" else [axis or "z"]
    if not set(chosen) <= set(counts):
        raise InputError(f"--axis {axis}", file=stack.name, expected=f"an axis of {', '.join(counts)}")
    moves = Moves({name: counts[name] for name in chosen}, len(stack.times), flip=flip)
    planes, errors = [], []
    for number in spread(np.arange(moves.total), SAMPLED):
        at = moves.step(number)
        try:
            planes.append(stack.plane(at.axis, at.slice, at.time).ravel())
        except InputError as error:
            errors.append(error)
    if not planes:
        raise errors[0]
    values = np.concatenate(planes)
    values = values[np.isfinite(values)]
    if stack.unit == "HU" and (values > UNDECLARED_PADDING_HU).any():
        values = values[values > UNDECLARED_PADDING_HU]
    return moves.window(*limits(values)) if values.size else moves


def marks(stack: Stack, findings: Path | None) -> list[tuple[np.ndarray, int, str]]:
    """Voxel (column, row, slice), time and name of each finding of a findings.csv that lies in a stack.

    Raises ColumnError, or UnreadableError where there is no such table.
    """
    if findings is None:
        return []
    try:
        table = labels.read_table(findings, MARK_COLUMNS)
    except OSError as error:
        raise UnreadableError(str(error.strerror), file=findings) from error
    found = []
    for number, (_, row) in enumerate(table.iterrows()):
        try:
            spot = stack.spot(number, row)
        except ValueError as error:
            expected = "numbers in column, row and slice"
            raise ColumnError(f"{error} in row {number}", file=findings, expected=expected) from error
        if spot:
            found.append((*spot, f"{row['patient_id']} · {row['finding_id']} · {said(row.to_dict())}"))
    return found


class Viewer:
    """A figure that shows one picture of a stack; events of its window become moves."""

    def __init__(
        self, figure: Figure, stack: Stack, moves: Moves, marked: Sequence[tuple[np.ndarray, int, str]] = ()
    ) -> None:
        self.stack, self.moves, self.marked = stack, moves, marked
        self.cursor: tuple[int, int] | None = None
        """Column and row under the mouse."""
        self._first = moves
        self._drag: tuple[float, float, Moves] | None = None
        figure.set_facecolor("black")
        self.figure = figure
        self.axes = figure.add_axes((0, 0.07, 1, 0.87))
        plain: Any = {"fontsize": 9, "parse_math": False}  # a dollar in a header is a dollar
        self._title = figure.text(0.01, 0.99, "", color="white", va="top", **plain)
        self._status = figure.text(0.01, 0.012, "", color="white", va="bottom", **plain)
        self._window = figure.text(0.99, 0.99, "", color="0.7", va="top", ha="right", **plain)
        self.shown = np.zeros((0, 0))
        handlers: dict[str, Callable[[Any], None]] = {
            "scroll_event": self._scroll, "key_press_event": self._key, "motion_notify_event": self._move,
            "button_press_event": self._press, "button_release_event": self._release,
        }  # fmt: skip
        connect: Any = figure.canvas.mpl_connect
        for name, handler in handlers.items():
            connect(name, functools.partial(handler))  # to a bound method the canvas would not hold on
        self.draw()

    def draw(self) -> None:
        """Draw the picture anew."""
        at, stack = self.moves, self.stack
        caption = stack.caption(at.axis, at.slice, at.time)
        try:
            values = stack.plane(at.axis, at.slice, at.time)
        except InputError as error:  # one bad file of many: the others are there to be seen
            values, caption = np.full((1, 1), np.nan), str(error)
        self.shown = values
        self.axes.clear()
        self.axes.imshow(
            values, cmap="gray", vmin=at.low, vmax=at.high, interpolation="nearest",
            origin="lower" if at.flip else "upper", aspect=stack.aspect(at.axis),
        )  # fmt: skip
        self.axes.set_axis_off()
        across, down = (i for i in range(3) if AXES[i] != at.axis)
        for voxel, time, name in self.marked:
            if time == at.time and round(voxel[AXES.index(at.axis)]) == at.slice:
                self.axes.plot(voxel[across], voxel[down], "o", color=RED, fillstyle="none", markersize=14)
                self.axes.annotate(
                    name, (voxel[across], voxel[down]), (11, 0), textcoords="offset points", color=RED,
                    fontsize=8, va="center", parse_math=False,
                )  # fmt: skip
        place = f"{at.axis} {at.slice} of 0 … {at.counts[at.axis] - 1}"
        self._title.set_text(" · ".join(filter(None, (stack.name, place, caption))))
        self._window.set_text(f"{at.low:.4g} … {at.high:.4g}")
        self._tell()

    def _tell(self) -> None:
        self._status.set_text(self.words())
        self.figure.canvas.draw_idle()

    def words(self) -> str:
        """What lies under the cursor: voxel, place in mm where it is known, and value."""
        if self.cursor is None:
            return ""
        column, row = self.cursor
        voxel = [column, row]
        voxel.insert(AXES.index(self.moves.axis), self.moves.slice)
        value = f"{self.shown[row, column]:.6g} {self.stack.unit}".strip()
        place = place_of(self.stack, voxel)
        index = f"column {voxel[0]}, row {voxel[1]}" + (f", slice {voxel[2]}" if self.moves.total > 1 else "")
        return " · ".join(filter(None, (index, place, value)))

    def _go(self, moves: Moves) -> None:
        if moves != self.moves:
            self.moves = moves
            self.draw()

    def _scroll(self, event: MouseEvent) -> None:
        self._go(self.moves.step(round(event.step) or (1 if event.step > 0 else -1)))

    def _key(self, event: KeyEvent) -> None:
        if event.key in KEYS:
            self._go(KEYS[event.key](self.moves))
        elif event.key == "r":
            self._go(self.moves.window(self._first.low, self._first.high))
        elif event.key == "q":
            plt.close(self.figure)

    def _press(self, event: MouseEvent) -> None:
        if event.button == 1:
            self._drag = event.x, event.y, self.moves

    def _release(self, event: MouseEvent) -> None:  # noqa: ARG002  (wherever it ends)
        self._drag = None

    def _move(self, event: LocationEvent) -> None:
        if self._drag is not None:
            x, y, start = self._drag
            box = self.axes.bbox
            dragged = start.drag((event.x - x) / box.width, (event.y - y) / box.height)
            self._go(self.moves.window(dragged.low, dragged.high))
        x, y = self.axes.transData.inverted().transform((event.x, event.y))
        rows, columns = self.shown.shape
        inside = -0.5 <= x < columns - 0.5 and -0.5 <= y < rows - 0.5
        self.cursor = (floor(x + 0.5), floor(y + 0.5)) if inside else None
        self._tell()
