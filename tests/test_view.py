"""The viewer: what it shows, and what real events of mouse and keyboard make of it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ConfigError, DisplayError, InputError
from pipeline.view import __main__ as view
from pipeline.view import window
from pipeline.view.opening import open_stack
from pipeline.view.stacks import Voxels
from pipeline.view.window import Viewer, first_moves, marks
from tests.display import needs_display, virtual_display, xdotool

ROOT = Path(__file__).resolve().parent.parent
# Voxel (i, j, k) at time t has the value i + 10 j + 100 k + 1000 t.
GRID = np.ogrid[:8, :6, :4, :2]
VALUES = (GRID[0] + 10 * GRID[1] + 100 * GRID[2] + 1000 * GRID[3]).astype("f4")
ORIGINS = np.array([[-20.0, 5.0, 3.0 * k] for k in range(4)])
STEPS = np.array([[0.5, 0.0], [0.0, 2.0], [0.0, 0.0]])
STACK = Voxels(
    "made", VALUES, np.array([0.5, 2.0, 3.0]), ("b 0", "b 800"), STEPS, ORIGINS, "HU",
    {"1.2": (2, 1), "1.3": (0, 0)}, Path("/some/where/raw/p/v.nii.gz"),
)  # fmt: skip
HEADER = "patient_id,finding_id,label,file,sop_instance_uid,slice,column,row\n"


@pytest.fixture
def plain() -> Iterator[Callable[..., Viewer]]:
    """Viewers without a window."""
    yield lambda axis="z", marked=(): Viewer(
        plt.figure(figsize=(5, 5)), STACK, first_moves(STACK, axis, flip=False), marked
    )
    plt.close("all")


def test_the_words_under_the_cursor_are_voxel_place_and_value(plain: Callable[..., Viewer]) -> None:
    shown = plain()
    shown.moves = shown.moves.at("z", 3, 1)
    shown.draw()
    shown.cursor = (4, 2)
    # LPS −20 + 4 · 0.5, 5 + 2 · 2, 3 · 3, which a table has as RAS, for the file is NIfTI; 4 + 20 + 300 + 1000
    assert shown.words() == "column 4, row 2, slice 3 · 18.0, -9.0, 9.0 mm (RAS) · 1324 HU"


@pytest.mark.parametrize(
    ("axis", "words"), [("x", "column 1, row 4, slice 2"), ("y", "column 4, row 1, slice 2")]
)
def test_along_another_axis_the_cursor_names_the_same_voxels(
    plain: Callable[..., Viewer], axis: str, words: str
) -> None:
    shown = plain(axis)
    shown.moves = shown.moves.at(axis, 1)
    shown.draw()
    shown.cursor = (4, 2)  # of the two other axes the later one, k, runs down
    assert shown.words().startswith(words)
    i, j = (1, 4) if axis == "x" else (4, 1)
    assert shown.words().endswith(f"{i + 10 * j + 200} HU")


@pytest.mark.parametrize(("low", "high"), [("5", "1"), ("1", "1"), ("nan", "1"), ("0", "inf")])
def test_a_window_that_is_none_is_one_line(tmp_path: Path, low: str, high: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^E-CONFIG --window: expected two numbers, the lower first, found"
    ):
        view.main([str(tmp_path / "a.npy"), "--window", low, high, "--screenshot", str(tmp_path / "a.png")])


def test_the_first_window_leaves_out_the_air_outside_a_scan() -> None:
    values = np.concatenate([np.full(400, -2048.0), np.linspace(-1000, 1000, 600)]).reshape(10, 10, 10, 1)
    low, high = (
        first_moves(Voxels("ct", values, np.ones(3), unit=unit), "z", flip=False).low for unit in ("HU", "")
    )
    assert -1000 <= low < -950
    assert high == -2048


def test_an_axis_that_is_not_there_is_told() -> None:
    flat = Voxels("flat", VALUES[:, :, :1], np.ones(3))
    with pytest.raises(InputError, match="expected an axis of z, found --axis x"):
        first_moves(flat, "x", flip=False)


def test_a_picture_that_cannot_be_read_is_told_in_its_place(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (4, 3), 9).save(tmp_path / name)
    stack = open_stack(tmp_path)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:50])  # after its header was read
    shown = Viewer(plt.figure(), stack, first_moves(stack, "z", flip=False))
    shown.moves = shown.moves.step(1)
    shown.draw()
    assert "E-DCM-TRUNC" in shown.figure.texts[0].get_text()
    shown.cursor = (0, 0)
    assert shown.words().endswith("nan")
    plt.close(shown.figure)


def test_findings_are_marked_where_their_image_lies(tmp_path: Path) -> None:
    table = tmp_path / "findings.csv"
    table.write_text(
        HEADER
        + "P1,1,0,a.dcm,1.2,,3.5,4.25\n"  # slice 2 of time 1
        + "P2,1,1,a.dcm,9.9,,3,4\n"  # another series
        + "P3,2,1,p/v.nii.gz,,0:5,1,2\n"  # voxel (5, 1, 2)
        + "P4,1,1,p/v.nii.gz,,2:3:1,1,2\n"  # voxel (1, 2, 3) at time 1
        + "P5,1,1,v.nii,,2:3,1,2\n"
    )
    found = [(voxel.tolist(), when, name) for voxel, when, name in marks(STACK, table)]
    assert found == [
        ([3.5, 4.25, 2], 1, "P1 · 1 · label 0"),
        ([5, 1, 2], 0, "P3 · 2 · label 1"),
        ([1, 2, 3], 1, "P4 · 1 · label 1"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "E-CSV-COL t.csv: expected patient_id, finding_id, .*, found columns a, b;"),
        (HEADER + "P1,1,0,a.dcm,1.2,,,4\n", "numbers in column, row and slice, found .* in row 0"),
        (None, "E-READ t.csv: expected a readable file, found No such file or directory;"),
    ],
)
def test_a_table_that_is_none_is_one_line(
    content: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content:
        Path("t.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        marks(STACK, Path("t.csv"))
    assert re.search(words, str(caught.value))


def test_a_mark_is_drawn_on_its_slice_along_every_axis(plain: Callable[..., Viewer]) -> None:
    shown = plain("all", [(np.array([5.2, 1.0, 2.0]), 0, "P3")])
    drawn = set()
    for number in range(shown.moves.total):
        shown.moves = shown.moves.step(number - shown.moves.number)
        shown.draw()
        drawn |= {
            (shown.moves.axis, shown.moves.time, shown.moves.slice, *line.get_xydata()[0])
            for line in shown.axes.lines
        }
    assert drawn == {("x", 0, 5, 1.0, 2.0), ("y", 0, 1, 5.2, 2.0), ("z", 0, 2, 5.2, 1.0)}


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    stack = Voxels("t2 $_tra$", VALUES, np.ones(3))
    shown = Viewer(plt.figure(), stack, first_moves(stack, "z", flip=False), [(np.zeros(3), 0, "P $^1$")])
    shown.figure.draw_without_rendering()  # as mathematics these would be none
    assert shown.figure.texts[0].get_text().startswith("t2 $_tra$ · z 0 of 0 … 3")
    plt.close(shown.figure)


def test_a_screenshot_is_the_picture_and_names_nothing_else(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(24.0).reshape(2, 3, 4))
    arguments = ["--window", "11", "12", "--slice", "1", "--screenshot", str(tmp_path / "a.png")]
    view.main([str(tmp_path / "a.npy"), *arguments])
    with Image.open(tmp_path / "a.png") as image:
        assert "Software" not in image.info
        pixels = np.asarray(image.convert("L"))
    assert pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] == 255  # all of slice 1 is 12 or more
    assert not plt.get_fignums()


def test_without_a_toolkit_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setattr(view, "TOOLKITS", {"tkagg": "no_such_module"})
    with pytest.raises(DisplayError, match="found neither; install python3-tk") as caught:
        view.open_window()
    assert "PySide6-Essentials" in str(caught.value)


@pytest.mark.parametrize("display", ["", ":9999"])
def test_without_a_display_a_line_says_so(display: str, tmp_path: Path) -> None:
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "WAYLAND_DISPLAY")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.view", str(tmp_path / "a.png")],
        env=environment | {"DISPLAY": display}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "python3-tk" in done.stderr:
        pytest.skip("neither Tk nor Qt is installed")
    assert done.returncode == 1
    assert done.stderr.startswith("E-DISPLAY: expected a display, found none that ")
    assert len(done.stderr.splitlines()) == 1


# --- real events on a virtual display


class Hand:
    """The mouse and the keyboard before a viewer's window."""

    def __init__(self, display: str) -> None:
        self.display = display
        self.viewer = Viewer(
            plt.figure(figsize=(6, 6), dpi=100),
            STACK,
            first_moves(STACK, "all", flip=False),
            [(np.array([5, 1, 2]), 0, "P3")],
        )
        self.start = self.viewer.moves
        plt.show(block=False)
        self.canvas = self.viewer.figure.canvas
        self.widget = self.canvas.get_tk_widget()
        self.until(lambda: self.widget.winfo_viewable() and self.widget.winfo_height() > 100)

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Let the window see its events until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{self.viewer.moves} {self.viewer.words()}"
            self.canvas.flush_events()
            time.sleep(0.01)

    def does(self, *words: object) -> None:
        xdotool(self.display, *words)

    def on_screen(self, column: float, row: float) -> tuple[int, int]:
        x, y = self.viewer.axes.transData.transform((column, row))
        height = self.viewer.figure.bbox.height
        return self.widget.winfo_rootx() + round(x), self.widget.winfo_rooty() + round(height - y)


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with virtual_display() as name:
        yield name


@pytest.fixture
def hand(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    before = plt.get_backend()
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setattr(view, "TOOLKITS", {"tkagg": "tkinter"})
    pytest.importorskip("tkinter")
    view.open_window()
    with view.plain_window():
        yield Hand(display)
    plt.close("all")
    plt.switch_backend(before)


@needs_display
def test_real_wheel_and_keys_move_through_slices_times_and_axes(hand: Hand) -> None:
    shown = hand.viewer
    hand.does("mousemove", *hand.on_screen(2, 2))
    for words, place in [
        (("click", 4), ("x", 0, 1)),  # the wheel up
        (("click", 4), ("x", 0, 2)),
        (("click", 5), ("x", 0, 1)),
        (("key", "Up"), ("x", 0, 2)),
        (("key", "Down"), ("x", 0, 1)),
        (("key", "Right"), ("x", 1, 1)),
        (("key", "Left"), ("x", 0, 1)),
        (("key", "a"), ("y", 0, 3)),
        (("key", "a"), ("z", 0, 2)),
        (("key", "Up"), ("z", 0, 3)),
        (("click", 4), ("z", 1, 0)),  # from the last slice of a time to the first of the next
        (("key", "Home"), ("x", 0, 0)),
        (("key", "Next"), ("x", 0, 0)),
        (("key", "Prior"), ("x", 1, 2)),  # 10 slices on: 8 of time 0, and 2
        (("key", "End"), ("z", 1, 3)),
    ]:
        hand.does(*words)
        hand.until(lambda place=place: (shown.moves.axis, shown.moves.time, shown.moves.slice) == place)
    assert np.array_equal(shown.shown, VALUES[:, :, 3, 1].T)
    hand.does("key", "f")
    hand.until(lambda: shown.moves.flip)
    assert shown.axes.get_ylim() == (-0.5, 5.5)  # the first row at the bottom


@needs_display
def test_a_real_drag_sets_the_window_and_r_sets_it_back(hand: Hand) -> None:
    shown, start = hand.viewer, hand.start
    x, y = hand.on_screen(3, 1)
    hand.does("mousemove", x, y, "mousedown", 1, "mousemove", x + 100, y - 50)
    hand.until(lambda: shown.moves.low != start.low)
    hand.does("mouseup", 1, "mousemove", x + 150, y)  # released: nothing more
    hand.until(lambda: shown.cursor != (3, 1))
    box = shown.axes.bbox
    expected = start.drag(100 / box.width, 50 / box.height)
    assert (shown.moves.low, shown.moves.high) == pytest.approx((expected.low, expected.high))
    assert shown.axes.images[0].get_clim() == (shown.moves.low, shown.moves.high)
    hand.does("key", "r")
    hand.until(lambda: shown.moves == start)


@needs_display
def test_the_real_mouse_reads_the_pixel_beneath_it(hand: Hand) -> None:
    shown = hand.viewer
    for flip in (False, True):
        hand.does("mousemove", *hand.on_screen(4.3, 2.8))  # x = 0: column is j, row is k
        hand.until(lambda: shown.cursor == (4, 3))
        assert shown.words() == "column 0, row 4, slice 3 · 20.0, -13.0, 9.0 mm (RAS) · 340 HU"
        hand.does("mousemove", 1, 1)
        hand.until(lambda: shown.words() == "")
        if not flip:
            hand.does("key", "f")
            hand.until(lambda: shown.moves.flip)


@needs_display
def test_the_program_opens_a_window_and_q_ends_it(display: str, tmp_path: Path) -> None:
    pytest.importorskip("tkinter")
    Image.fromarray(np.arange(12, dtype="u1").reshape(3, 4)).save(tmp_path / "a.png")
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    program = subprocess.Popen(
        [sys.executable, "-m", "pipeline.view", str(tmp_path / "a.png")],
        cwd=ROOT,
        env=environment | {"DISPLAY": display},
    )
    try:
        xdotool(display, "search", "--sync", "--onlyvisible", "--name", "a.png")
        end = time.monotonic() + 20
        while program.poll() is None and time.monotonic() < end:
            # The keyboard follows the mouse where there is no window manager; until the window is ready.
            xdotool(display, "mousemove", 300, 300, "mousemove_relative", 5, 5, "key", "q")
            time.sleep(0.2)
        assert program.returncode == 0
    finally:
        program.kill()
        program.wait()


def test_help_lists_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        view.main(["--help"])
    help_ = capsys.readouterr().out
    assert [word for word in ("wheel", "Page Up", *"afrq", "drag") if word not in help_] == []
    assert set(window.KEYS) >= {"up", "down", "left", "right", "a", "f"}
