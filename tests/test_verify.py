"""What would make a result untrustworthy is found: each check sees the fault that it is there for."""

import shutil
import struct
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import findings
from pipeline.errors import VerifyError
from pipeline.files import read_csv, write_csv
from pipeline.patches.views import Frame
from pipeline.phantom import write_phantom
from pipeline.readers import index
from pipeline.readers.index import read_index
from pipeline.readers.pixels import read_pixels
from pipeline.report import page
from pipeline.verify import __main__ as verify
from pipeline.verify import joined, screenshots
from pipeline.verify.checks import Check, alignment, half_spacings, outside_share, slice_places
from pipeline.verify.overlap import DataFolder, across, exact_duplicates, near_duplicates
from pipeline.verify.page import slice_audit
from pipeline.verify.screenshots import correlation, listed
from tests.etl import build

PATIENTS = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a phantom of PROSTATEx with three channels and one split, made by the steps themselves."""
    root = tmp_path_factory.mktemp("made")
    write_phantom("prostatex", root / "raw", PATIENTS, 0)
    folder = build(
        "prostatex", root / "raw", root / "prostatex", "--channels", "t2", "dwi", "adc", extent="65 mm"
    )
    Image.new("L", (2, 2)).save(folder / "red_dots.png")
    return folder


@pytest.fixture(scope="module")
def clean(made: Path) -> dict[str, Check]:
    """The checks of the phantom as it is; page and table lie in its folder."""
    return run(made, made.parent / "raw")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "prostatex")
    return tmp_path / "prostatex"


def run(folder: Path, raw: Path, *options: str) -> dict[str, Check]:
    """The checks by name, of a run that may end with a verdict."""
    verify.main([str(folder), "--raw", str(raw), "--exit-zero", *options])
    return {row["check"]: Check(**row) for row in read_csv(folder / "verify.csv").to_dict("records")}  # type: ignore[misc]


@pytest.fixture
def checks(folder: Path, made: Path) -> Callable[..., dict[str, Check]]:
    return lambda *options: run(folder, made.parent / "raw", *options)


def change(path: Path, edit: Callable[[pd.DataFrame], object]) -> None:
    table = read_csv(path)
    edit(table)
    write_csv(path, list(table.columns), table.to_dict("records"))


def test_what_the_steps_make_passes_every_check(clean: dict[str, Check]) -> None:
    results = {name: check.result for name, check in clean.items() if name != "near duplicates"}
    assert results == {
        "finite": "ok", "cuts": "ok", "red dots": "ok", "black crops": "ok", "crops inside": "ok",
        "alignment": "ok", "slices": "ok", "screenshots": "not applicable",
        "shortcuts": "not applicable", "people": "ok",  # of six patients
        "headers": "ok",
        "splits": "ok", "exact duplicates": "ok", "other data sets": "not applicable",
    }  # fmt: skip


def test_the_same_page_and_table_come_out_with_any_number_of_processes(
    clean: dict[str, Check], made: Path, checks: Callable[..., dict[str, Check]], folder: Path
) -> None:
    assert checks("--processes", "2") == clean
    assert (folder / "verify.html").read_bytes() == (made / "verify.html").read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_ends_with_a_line_and_leaves_the_page(
    folder: Path, made: Path, value: float
) -> None:
    with h5py.File(folder / "patches.h5", "r+") as file:
        file["patches"][3, 1, 30, 30] = value  # of the second finding, since there are two views
    with pytest.raises(VerifyError, match=r"finite: NaN or Inf in ProstateX-000\d \d dwi; cuts: ") as raised:
        verify.main([str(folder), "--raw", str(made.parent / "raw")])
    assert str(raised.value).startswith("E-VERIFY ")
    assert "\n" not in str(raised.value)
    assert (folder / "verify.html").exists()


def test_a_dot_off_its_place_fails(
    checks: Callable[..., dict[str, Check]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Frame.matrix
    monkeypatch.setattr(
        Frame, "matrix", lambda frame, view: np.add(whole(frame, view), [[0, 0, 3], [0, 0, 0]])
    )
    found = checks()
    assert found["red dots"].result == found["cuts"].result == "failed"
    assert int(found["red dots"].count) == len(read_csv(folder / "findings.csv"))


def test_patches_of_other_places_than_the_table_says_fail(
    checks: Callable[..., dict[str, Check]], folder: Path
) -> None:
    change(
        folder / "findings.csv",
        lambda table: table.__setitem__("row", table["row"].shift(-3, fill_value="9.5")),
    )
    found = checks()
    assert found["cuts"].result == "failed"
    assert found["alignment"].result == "warning"


def test_channels_that_show_another_point_are_told_with_the_distance(made: Path) -> None:
    table = read_csv(made / "findings.csv")
    (adc, *_) = np.flatnonzero(table["channel"] == "adc")
    column, row, spacing_column, spacing_row, distance = (
        float(table.at[adc, name])
        for name in ("column", "row", "spacing_column_mm", "spacing_row_mm", "plane_distance_mm")
    )
    table.at[adc, "column"] = str(column + 3 / spacing_column)
    table.at[adc, "row"] = str(row + 6 / spacing_row)
    table.at[adc, "plane_distance_mm"] = str(distance + 2)
    check = alignment(table, read_index(made / "index.parquet"))
    assert (check.result, check.count) == ("warning", 1)
    assert "(7.0 mm)" in check.detail  # 3² + 6² + 2² = 7²


def test_slices_of_the_published_rule_are_told(made: Path) -> None:
    table = read_csv(made / "findings.csv")
    table.at[0, "plane_distance_mm"] = "-12.0"
    check = slice_places(table, read_index(made / "index.parquet"))
    assert (check.result, check.count) == ("warning", 1)
    assert "(12.0 mm)" in check.detail


def test_half_a_spacing_is_that_of_the_series(made: Path) -> None:
    table = read_csv(made / "findings.csv")
    assert half_spacings(table, read_index(made / "index.parquet")) == pytest.approx(1.5, abs=1e-6)


@pytest.mark.parametrize(("leak", "result"), [("refuse", "failed"), ("warn", "warning")])
def test_a_patient_in_two_splits_is_a_leak(
    checks: Callable[..., dict[str, Check]], folder: Path, leak: str, result: str
) -> None:
    def leaking(table: pd.DataFrame) -> None:
        several = table[table.duplicated("patient_id", keep=False)].index[0]
        table.at[several, "split"] = "train" if table.at[several, "split"] == "test" else "test"

    change(folder / "splits/fold0.csv", leaking)
    check = checks("--leak", leak)["splits"]
    assert check.result == result
    assert "fold 0: groups in several splits: ProstateX-" in check.detail


@pytest.mark.parametrize(("column", "row", "share"), [(20, 20, 0.0), (-0.5, 20, 33 / 65), (-40, 20, 1.0)])
def test_the_share_of_a_crop_outside_the_image(column: float, row: float, share: float) -> None:
    # 65 pixels of 0.5 slice pixels; at −0.5 their centres lie at −16.5 … 15.5, of which 33 are ≥ −0.5.
    found = outside_share(Frame(column, row, 0.5, 0.5), (60, 60))
    assert found == pytest.approx(share if share in (0, 1) else 1 - 33 / 65)


def test_black_crops_are_told(checks: Callable[..., dict[str, Check]], folder: Path) -> None:
    with h5py.File(folder / "patches.h5", "r+") as file:
        file["patches"][0, 0] = -100.0  # darker than anything in the slice
        file["patches"][0, 0, :9] = 3.0  # 9 of 65 rows: still no black patch
        file["patches"][2, 0] = -100.0
        file["patches"][2, 0, 0] = 3.0  # 1 of 65 rows: 98.5 % are black
    check = checks()["black crops"]
    assert (check.result, check.count) == ("failed", "1")


# --- what findings share


def images(*rows: tuple[str, str, str, int], label: str = "0", study: str = "") -> pd.DataFrame:
    """Slices of (patient, group, digest, hash)."""
    table = pd.DataFrame(rows, columns=["patient_id", "group_id", "digest", "hash"])
    return table.assign(
        finding_id="1",
        channel="t2",
        label=label,
        study_uid=study,
        source=table["patient_id"],
        hash=table["hash"].astype("u8"),
    )


def member(name: str, table: pd.DataFrame, splits: str, folder: Path = Path()) -> DataFolder:
    """A data set whose patients are in these splits, given by their first letters."""
    names = {"t": "train", "v": "validation", "e": "test"}
    rows = pd.DataFrame(
        {"patient_id": table["patient_id"], "finding_id": "1", "split": [names[s] for s in splits]}
    )
    return DataFolder(name, folder, (rows,), table)


A = images(("a1", "a1", "x", 0), ("a2", "a2", "y", 0xFF00), ("a3", "a3", "z", 0xFFFF0000))


def test_identical_slices_are_told_where_groups_or_labels_differ() -> None:
    def check(*more: pd.DataFrame) -> tuple[object, ...]:
        found = exact_duplicates(DataFolder("a", Path(), (), pd.concat([A, *more])))
        return found.result, found.count, found.detail

    fine = "images under different ids, all in one group and of one label"
    assert check() == ("ok", 0, f"0 {fine}")
    assert check(images(("a3", "a3", "z", 0), label="1")) == ("ok", 0, f"0 {fine}")  # two findings of a slice
    assert check(images(("a4", "a1", "x", 0))) == ("ok", 0, f"1 {fine}")
    colours = [images(("a1", "a1", "r", 0), ("a4", "a1", "r", 0)).assign(channel=name) for name in "rgb"]
    assert check(*colours) == ("ok", 0, f"1 {fine}")
    told = "images in several groups, {} with both labels: {}"
    assert check(images(("a4", "a4", "x", 0))) == ("warning", 1, "1 " + told.format(0, "a1 = a4"))
    assert check(images(("a4", "a1", "x", 0), label="1")) == ("warning", 1, "0 " + told.format(1, "a1 = a4"))


def test_a_volume_of_two_patients_is_told_though_their_slices_differ() -> None:
    """One ADC named in the rows of two patients, whose findings lie on other slices of it."""

    def check(*more: pd.DataFrame) -> tuple[object, ...]:
        found = exact_duplicates(DataFolder("a", Path(), (), pd.concat([A, *more])))
        return found.result, found.count, found.detail

    told = "1 files or series of several patients: a1 = a4"
    adc = images(("a4", "a4", "w", 0xFF)).assign(source="a1", channel="adc")
    assert check(adc) == ("warning", 1, told)
    assert check(adc.assign(group_id="a1"))[0] == "ok"  # they are one group: no split cuts it
    assert check(adc.assign(patient_id="a1", group_id="a1"))[0] == "ok"
    # Told once, where a slice of it is the same.
    (result, count, detail) = check(images(("a4", "a4", "x", 0)).assign(source="a1"))
    assert (result, count) == ("warning", 1)
    assert told not in detail
    other = images(("a5", "a5", "y", 0))
    assert check(adc, other) == (
        "warning", 2, f"1 images in several groups, 0 with both labels: a2 = a5; {told}"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [("tte", "t", "warning"), ("ett", "t", "failed"), ("ttt", "e", "failed"), ("vtt", "e", "warning")],
)
def test_a_slice_that_trains_in_one_data_set_and_is_tested_in_another_fails(
    ours: str, theirs: str, result: str
) -> None:
    other = member("b", images(("b1", "b1", "x", 0xFFFFFFFF)), theirs)
    found = {check.check: check for check in across(member("a", A, ours), [other], "refuse")}
    assert found["images in b"].result == result
    assert found["patients in b"].result == "ok"
    assert found["near duplicates in b"].result == "ok"  # identical ones are told once
    relaxed = {check.check: check for check in across(member("a", A, ours), [other], "warn")}
    assert relaxed["images in b"].result == "warning"


def test_near_duplicates_and_equal_ids_across_data_sets_are_told() -> None:
    other = member("b", images(("A2", "A2", "w", 0xFF07), ("b2", "b2", "v", 0x1F)), "tt")
    found = {check.check: check for check in across(member("a", A, "ttt"), [other], "refuse")}
    assert (found["patients in b"].result, found["patients in b"].detail) == ("warning", "ids in both: a2")
    near = found["near duplicates in b"]  # 0xFF00 and 0xFF07 differ in three bits, 0 and 0x1F in five
    assert (near.result, near.count) == ("warning", 1)
    assert "a2 1 ≈ A2 1" in near.detail


@pytest.mark.parametrize(
    ("splits", "study", "image", "leak", "result"),
    [
        ("te", "1.2", "w", "refuse", "failed"), ("vt", "1.2", "w", "refuse", "failed"),
        ("te", "", "x", "refuse", "failed"),  # no studies, but a picture in both
        ("te", "1.2", "w", "warn", "warning"), ("te", "", "w", "refuse", "warning"),
        ("tt", "1.2", "w", "refuse", "warning"), ("ve", "1.2", "w", "refuse", "warning"),
    ],
)  # fmt: skip
def test_a_patient_who_trains_in_one_data_set_and_is_tested_in_another_fails_where_ids_mean_the_same(
    splits: str, study: str, image: str, leak: str, result: str
) -> None:
    own = member("a", images(("p1", "p1", "x", 0), study=study), splits[0])
    other = member("b", images(("P1", "P1", image, 0xFFFF), study=study), splits[1])
    check = next(across(own, [other], leak))
    assert (check.check, check.result, check.count) == ("patients in b", result, 1)
    crossing = "t" in splits and splits != "tt"
    assert check.detail == (
        "trained on in one data set, tested in the other: p1 in fold 0" if crossing else "ids in both: p1"
    )


def test_near_duplicates_in_two_splits_are_told(tmp_path: Path) -> None:
    rows = [{"patient_id_1": one, "patient_id_2": two, "distance": 2, "merged": False}
            for one, two in (("a1", "a2"), ("a1", "a3"))]  # fmt: skip
    write_csv(tmp_path / "near_duplicates.csv", findings.PAIR_COLUMNS, rows)
    check = near_duplicates(member("a", A, "tte", tmp_path))
    assert (check.result, check.count) == ("warning", 1)
    assert check.detail == "1 of 2 pairs are in two splits: a1 ≈ a3; look at them"


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2]])
def test_near_duplicates_of_a_patient_in_two_splits_are_told(tmp_path: Path, order: list[int]) -> None:
    pair = {"patient_id_1": "a1", "patient_id_2": "a2", "distance": 2, "merged": False}
    write_csv(tmp_path / "near_duplicates.csv", findings.PAIR_COLUMNS, [pair])
    splits = pd.DataFrame({"patient_id": ["a1", "a1", "a2"], "split": ["train", "test", "test"]})
    check = near_duplicates(DataFolder("a", tmp_path, (splits.iloc[order],), A))
    assert (check.result, check.count) == ("warning", 1)


# --- screenshots


def test_a_piece_of_an_image_correlates_with_it_alone() -> None:
    rng = np.random.default_rng(0)
    image, other = rng.normal(size=(2, 40, 50))
    piece = 3 * image[7:27, 11:36] + 5
    assert correlation(image, piece) == pytest.approx(1)
    assert correlation(-image, piece) < 0.9
    assert correlation(other, piece) < 0.5
    assert correlation(np.ones((40, 50)), piece) == 0
    assert correlation(image, np.ones((20, 25))) == 0


def test_screenshots_are_known_by_their_official_names() -> None:
    names = ["a/ProstateX-0000-Finding1-t2_tse_tra0.bmp", "ProstateX-0005-Finding0-ep2d_diff_tra_DYNDIST_ADC0.BMP",
             "logo.bmp", "ProstateX-0000-Finding1-t2_tse_tra0.jpg"]  # fmt: skip
    assert listed(names) == {
        ("prostatex-0000", "1"): {"t2_tse_tra0": names[0]},
        ("prostatex-0005", "0"): {"ep2d_diff_tra_dyndist_adc0": names[1]},
    }


@pytest.mark.parametrize("description", ["t2_tse_tra", "ADC_S3_1", "t2_tse_tra_320_p2", "T2 (2.5 mm)"])
def test_a_screenshot_belongs_to_the_series_whose_name_it_has_before_its_number(
    made: Path, tmp_path: Path, description: str
) -> None:
    choices = read_csv(made / "choices.csv").iloc[:1].assign(chosen_description=description)
    files = read_index(made / "index.parquet")
    case = f"{choices['patient_id'].iloc[0]}-Finding{choices['finding_id'].iloc[0]}"
    own, *others = (
        f"{case}-{name}.bmp" for name in (f"{description}0", f"{description}_sag0", description[:-1])
    )
    image = Image.new("L", (4, 4))
    image.save(tmp_path / own)
    shutil.copytree(made.parent / "raw", tmp_path, dirs_exist_ok=True)
    shots = screenshots.matches(choices, files, tmp_path, [own, *others])
    assert (len(shots.found), shots.unread, shots.others) == (1, [], 2)
    check = screenshots.check(screenshots.matches(choices, files, tmp_path, others))
    assert (check.result, check.detail.split("; ")[-1]) == ("warning", "of no chosen series: 2")


def test_a_screenshot_that_claims_to_be_huge_is_told(made: Path, tmp_path: Path) -> None:
    choices = read_csv(made / "choices.csv").iloc[:1]
    name = "{patient_id}-Finding{finding_id}-{chosen_description}0.bmp".format(**choices.iloc[0])
    shutil.copytree(made.parent / "raw", tmp_path, dirs_exist_ok=True)
    Image.new("L", (4, 4)).save(tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    content[18:26] = struct.pack("<ii", 60_000, 60_000)
    (tmp_path / name).write_bytes(content)
    shots = screenshots.matches(choices, read_index(made / "index.parquet"), tmp_path, [name])
    assert not shots.found
    assert "decompression bomb" in shots.unread[0]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_screenshot_tells_the_rule_that_found_its_slice(
    folder: Path, made: Path, tmp_path: Path, mirrored: bool
) -> None:
    table = read_csv(made / "choices.csv")
    apart = pd.to_numeric(table["distance_mm"], errors="coerce")
    choice = table[(table["channel"] == "t2") & (apart > 4)].iloc[0]
    files = read_index(made / "index.parquet")
    files = files[files["series_uid"] == choice["chosen_series_uid"]].set_index("instance_number")
    shown = float(choice["paper_instance" if mirrored else "geometry_instance"])
    raw = tmp_path / "raw"
    shutil.copytree(made.parent / "raw", raw)
    values = read_pixels(raw / files.loc[shown, "file"]).values[20:90, 15:100]
    gray = np.clip(values * (255 / values.max()), 0, 255).astype("u1")
    name = f"{choice['patient_id']}-Finding{choice['finding_id']}-{choice['chosen_description']}0.bmp"
    Image.fromarray(gray).save(raw / name)
    index.main(["--raw", str(raw), "--out", str(folder / "index.parquet"), "--files", str(folder / "files.parquet"),
                "--skipped", str(tmp_path / "skipped.csv")])  # fmt: skip
    check = run(folder, raw)["screenshots"]
    assert check.result == ("warning" if mirrored else "ok")
    assert check.detail.startswith(
        f"1 of 1 found in a slice; another one than geometry's in {int(mirrored)}, "
        f"than the published rule's in {int(not mirrored)}"
    )


# --- the page


def test_the_audit_counts_millimetres_between_the_rules() -> None:
    rows = [
        ("t2", "1", "0.000"),
        ("t2", "2", "6.000"),
        ("t2", "3", "12.000"),
        ("t2", "99", ""),
        ("adc", "", ""),
    ]
    table = pd.DataFrame(rows, columns=["channel", "paper_instance", "distance_mm"])
    assert slice_audit(table) == [
        {"channel": "t2", "findings": 4, "no such slice": 1, "same slice": 1, "median mm": "6.0",
         "mean mm": "6.0", "largest mm": "12.0", "≥ 6 mm": 2},
    ]  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def test_nothing_from_a_header_or_a_table_becomes_a_tag(
    checks: Callable[..., dict[str, Check]], folder: Path
) -> None:
    change(folder / "skipped.csv", lambda table: table.loc.__setitem__(len(table), EVIL))
    change(folder / "choices.csv", lambda table: table.__setitem__("reason", EVIL))
    change(folder / "near_duplicates.csv", lambda table: table.loc.__setitem__(0, EVIL))
    header = read_index(folder / "index.parquet").assign(series_description=EVIL)
    index._write(folder / "index.parquet", header, {b"documents": b"{}"})
    checks("--licence", EVIL)
    parsed = Tags()
    parsed.feed((folder / "verify.html").read_text())
    assert not {"script", "iframe", "link"} & {tag for tag, _ in parsed.tags}
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    sources = [attributes["src"] for tag, attributes in parsed.tags if tag == "img"]
    assert [source.startswith("data:image/png;base64,") for source in sources if source] == [True]
    assert sum(EVIL in words for words in parsed.words) >= 5


@pytest.mark.usefixtures("clean")
def test_the_flow_counts_from_files_to_splits(made: Path) -> None:
    parsed = Tags()
    parsed.feed((made / "verify.html").read_text())
    table = read_csv(made / "findings.csv")
    cases = len(table) // 3
    places = {
        name: parsed.words.index(name) for name in ("image files", "read", "series", "located", "patches")
    }
    before = {name: parsed.words[place - 1] for name, place in places.items()}
    files = len(read_index(made / "index.parquet"))
    listed = len(read_csv(made / "skipped/index.csv"))
    assert before == {
        "image files": f"{files + listed:,}", "read": f"{files:,}", "series": before["series"],
        "located": str(cases), "patches": str(2 * cases),
    }  # fmt: skip
    assert int(before["series"]) >= 3 * PATIENTS
    train, validation, test = (
        int(part) for part in parsed.words[parsed.words.index("train / val. / test") - 1].split(" / ")
    )
    assert train + validation + test == cases


def test_text_is_text_wherever_it_stands() -> None:
    assert page.text("<&\"'>") == "&lt;&amp;&quot;&#x27;&gt;"
    assert page.table(["a"], [{"a": "<b>"}], marked="a").count("&lt;b&gt;") == 2
    assert page.flow([("<i>", "<i>")]) == '<ol class="flow"><li><b>&lt;i&gt;</b>&lt;i&gt;</li></ol>'


def test_names_of_columns_stay_on_one_line_in_a_table_that_scrolls(tmp_path: Path, browser: Any) -> None:
    columns = [f"95 %, other splits {number}" for number in range(12)]
    (tmp_path / "page.html").write_text(
        page.page("t", [page.table(columns, [dict.fromkeys(columns, "one split")])])
    )
    browser.get(f"file://{tmp_path / 'page.html'}")
    head, row = browser.execute_script(
        "return [...document.querySelectorAll('tr')].map(row => row.offsetHeight)"
    )
    assert head < 1.5 * row


def test_the_verdict_is_over_all_data_sets(tmp_path: Path) -> None:
    for name, result in (("a", "ok"), ("b", "warning"), ("c", "failed")):
        row = {"check": "splits", "result": result, "count": 0, "detail": "a patient"}
        write_csv(tmp_path / name / "verify.csv", ("check", "result", "count", "detail"), [row])
    tables = [str(tmp_path / name / "verify.csv") for name in "abc"]
    joined.main(["--tables", *tables[:2], "--out", str(tmp_path / "checks.csv")])
    assert read_csv(tmp_path / "checks.csv")["dataset"].tolist() == ["a", "b"]
    with pytest.raises(VerifyError, match="splits: a patient"):
        joined.main(["--tables", *tables])
    joined.main(["--tables", *tables, "--out", str(tmp_path / "checks.csv"), "--exit-zero"])
    assert read_csv(tmp_path / "checks.csv")["dataset"].tolist() == ["a", "b", "c"]
