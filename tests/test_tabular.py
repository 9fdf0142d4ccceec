import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.report.tabular import text, write_table


def written(folder: Path, frame: pd.DataFrame, *notes: str, **more: dict[str, str]) -> dict[str, str]:
    write_table(frame, folder / "some.table", "A caption", notes, **more)
    return {suffix: (folder / f"some.table.{suffix}").read_text() for suffix in ("csv", "md", "tex")}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "0.5000"), (-0.5, "-0.5000"), (-0.0, "0.0000"), (0.0, "0.0000"), (12.34, "12.3"), (7200.4, "7200"),
        (3e-4, "0.0003"), (1.5e-4, "0.00015"), (5e-7, "5e-07"), (np.float32(0.25), "0.2500"), (np.int64(7), "7"),
        (50_628_000, "50628000"), (None, ""), (float("nan"), ""), (pd.NA, ""), (True, "yes"), (np.False_, "no"),
        ((0.1, -0.2), "[0.1000, -0.2000]"), ("a\n b\tc", "a b c"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_what_stands_in_a_cell(value: object, shown: str) -> None:
    assert text(value) == shown


def test_formats_are_of_columns_and_a_missing_whole_number_leaves_the_others_whole() -> None:
    assert text(0.98765, ".2f") == "0.99"
    assert text((0.1, 0.2), ".2f") == "[0.10, 0.20]"
    assert text(-0.004, ".2f") == "0.00"
    assert [text(cell, "d") for cell in pd.Series([3, None])] == ["3", ""]


def test_the_three_files_show_the_same_cells(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"method": ["classical", "hydra_2"], "auroc": [0.91, None], "ci95": [(-0.5, 0.25), None]}
    )
    files = written(tmp_path, frame, "one note", formats={"auroc": ".3f"})
    assert files["csv"] == 'method,auroc,ci95\nclassical,0.910,"[-0.5000, 0.2500]"\nhydra_2,,\n'
    assert files["md"] == (
        "**A caption**\n\n"
        "| method    | auroc |              ci95 |\n"
        "| --------- | ----: | ----------------: |\n"
        "| classical | 0.910 | [-0.5000, 0.2500] |\n"
        "| hydra_2   |       |                   |\n\n"
        "- one note\n"
    )
    assert "  classical & 0.910 & {[}$-$0.5000, 0.2500] \\\\\n" in files["tex"]
    assert "  hydra\\_2 &  &  \\\\\n" in files["tex"]
    assert r"\begin{tabular}{lrr}" in files["tex"]
    assert r"\label{tab:some-table}" in files["tex"]
    assert not list(tmp_path.glob(".*"))


def test_no_text_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    bad = ["=1+1", "+x", "-x", "@SUM(A1)", "-0.5", "+1e3", "\t=2"]
    files = written(tmp_path, pd.DataFrame({"=name": bad}))
    assert files["csv"].splitlines() == ["'=name", "'=1+1", "'+x", "'-x", "'@SUM(A1)", "-0.5", "+1e3", "'=2"]


def test_markup_is_shown_and_not_run(tmp_path: Path) -> None:
    files = written(tmp_path, pd.DataFrame({"x": [r"a|b<i>&\%$_{}#^~", "*p* [a](b)"]}))
    assert r"a\|b&lt;i&gt;&amp;\\%$_{}#^~" in files["md"]
    assert r"\*p\* [a]\(b)" in files["md"]
    escaped = r"a\textbar{}b\textless{}i\textgreater{}\&\textbackslash{}\%\$\_\{\}\#\textasciicircum{}\textasciitilde{}"
    assert escaped in files["tex"]
    assert r"{*}p* [a](b)" in files["tex"]


@pytest.mark.parametrize(
    ("cell", "printed"),
    [("2020-01", "2020-01"), ("a-1", "a-1"), ("±.05", r"$\pm$.05"), ("of -.5", "of $-$.5"), ("−1", "$-$1")],
)
def test_a_minus_is_no_hyphen_in_latex(tmp_path: Path, cell: str, printed: str) -> None:
    assert f"  {printed} \\\\" in written(tmp_path, pd.DataFrame({"x": [cell]}))["tex"]


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_gives_a_row_of_one_cell_in_each_file(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    files = written(tmp_path_factory.mktemp("any"), pd.DataFrame({"a": cells, "b": 1}, dtype=object))
    table = list(csv.reader(files["csv"].splitlines()))
    assert [len(row) for row in table] == [2] * (1 + len(cells))
    assert not any(row[0].startswith(("=", "@", "\t")) for row in table)
    assert sum(line.endswith(" \\\\") for line in files["tex"].splitlines()) == 1 + len(cells)
    assert sum(line.startswith("|") for line in files["md"].splitlines()) == 2 + len(cells)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="columns of one name: a, a"):
        write_table(pd.DataFrame([[1, 2]], columns=["a", "a"]), tmp_path / "x", "c")


def test_a_wide_table_is_shrunk_to_the_page_in_latex(tmp_path: Path) -> None:
    narrow, wide = (
        written(tmp_path, pd.DataFrame([[0] * width], columns=list("abcdefghi"[:width])))["tex"]
        for width in (8, 9)
    )
    assert "resizebox" not in narrow
    assert "  \\resizebox{\\textwidth}{!}{%\n  \\begin{tabular}" in wide
    assert "  \\end{tabular}}\n" in wide


def test_long_cells_are_broken_into_lines_in_latex(tmp_path: Path) -> None:
    row = {"a": 1, "long": "x" * 41, "b": "y" * 40}
    made = written(tmp_path, pd.DataFrame([row]))["tex"]
    assert r"\begin{tabular}{rp{0.4\textwidth}l}" in made
    assert "resizebox" not in made  # 1 + 40 + 40 and two between
    assert "resizebox" in written(tmp_path, pd.DataFrame([{**row, "c": "z" * 9}]))["tex"]
