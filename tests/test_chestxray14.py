"""ChestX-ray14: the official tables in both dialects, the official lists, and tasks of one label or of all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from PIL import Image

from pipeline import findings as findings_step
from pipeline.datasets import Findings, Source, chestxray14
from pipeline.datasets.chestxray14 import ENTRIES, LABELS, Options, chosen, classes, entries, official, table
from pipeline.errors import (
    ColumnError,
    ConfigError,
    DuplicateFindingError,
    InputError,
    LabelError,
    LeakError,
    RawMissingError,
    SplitError,
)
from pipeline.options import add_flags, given
from pipeline.readers import index

HEAD = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
UNQUOTED = HEAD + "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
QUOTED = HEAD + '"OriginalImage[Width,Height]","OriginalImagePixelSpacing[x,y]"'
IMAGES = [
    ("00000001_000.png", "Cardiomegaly|Emphysema", "1"),
    ("00000001_001.png", "No Finding", "1"),
    ("00000002_000.png", "Pneumonia", "2"),
    ("00000013_000.png", "Hernia", "13"),
]


def row(image: str, words: str, patient: str, end: str = "") -> str:
    return f"{image},{words},000,{patient},058,M,PA,2682,2749,0.143,0.143{end}"


def published(folder: Path, images: list[tuple[str, str, str]] = IMAGES, **lists: list[str]) -> Path:
    """The table of 2020 and the two lists; unless given, patient 13 is tested."""
    tested = [name for name, _, _ in images if name.startswith("00000013")]
    lists = {"test": tested, "train_val": [i[0] for i in images if i[0] not in tested]} | lists
    lines = "\r\n".join([UNQUOTED, *(row(*image) for image in images)]) + "\r\n"
    (folder / ENTRIES[2020]).write_bytes(lines.encode())
    for split, names in lists.items():
        (folder / f"{split}_list.txt").write_text(
            "\n".join(names), encoding="utf-8"
        )  # no line end at the end
    return folder


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.iterdir())


def positive(path: Path) -> dict[str, set[str]]:
    frame = entries(path).set_index("image")[list(LABELS)]
    return {str(image): {str(label) for label in LABELS if cells[label]} for image, cells in frame.iterrows()}


@pytest.mark.parametrize(
    "text",
    [
        "\r\n".join([UNQUOTED, *(row(*image) for image in IMAGES)]),
        "\n".join([UNQUOTED + ",", *(row(*image, ",") for image in IMAGES), ""]),  # a comma at each end: 2017
        "\ufeff" + "\r\n".join([QUOTED, *(row(*image) for image in IMAGES)]),
    ],
)
def test_every_dialect_of_the_official_table_says_the_same(text: str, tmp_path: Path) -> None:
    (tmp_path / "entries.csv").write_bytes(text.encode())
    assert positive(tmp_path / "entries.csv") == {
        "00000001_000.png": {"Cardiomegaly", "Emphysema"},
        "00000001_001.png": set(),
        "00000002_000.png": {"Pneumonia"},
        "00000013_000.png": {"Hernia"},
    }
    frame = entries(tmp_path / "entries.csv")
    assert frame["patient_id"].tolist() == ["00000001", "00000001", "00000002", "00000013"]
    assert {str(kind) for kind in frame.dtypes[2:]} == {"uint8"}
    assert list(frame.columns) == ["image", "patient_id", *LABELS]


@pytest.mark.parametrize(
    ("image", "error", "match"),
    [
        (("00000003_000.png", "Effusion|Fluid", "3"), LabelError, r"'Effusion\|Fluid' of 00000003_000"),
        (("00000003_000.png", "No Finding|Mass", "3"), LabelError, "No Finding alone"),
        (("00000003_000.png", "", "3"), LabelError, "nothing"),
        (("00000003_000.png", "Mass", "4"), LabelError, "patient 4 of 00000003_000.png"),
        (IMAGES[0], DuplicateFindingError, "00000001_000.png twice"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(
    image: tuple[str, str, str], error: type[InputError], match: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=match):
        entries(published(tmp_path, [*IMAGES, image]) / ENTRIES[2020])


def test_a_table_without_patients_is_named(tmp_path: Path) -> None:
    (tmp_path / "entries.csv").write_text("Image Index,Finding Labels\n00000001_000.png,Mass\n")
    with pytest.raises(ColumnError, match="expected Patient ID, found columns Image Index, Finding Labels"):
        entries(tmp_path / "entries.csv")


def test_the_table_has_the_official_split(tmp_path: Path) -> None:
    frame = table(published(tmp_path), listed(tmp_path))
    assert dict(zip(frame["image"], frame["split"], strict=True)) == {
        "00000001_000.png": "train_val",
        "00000001_001.png": "train_val",
        "00000002_000.png": "train_val",
        "00000013_000.png": "test",
    }
    assert frame[list(LABELS)].to_numpy().sum() == 4


def test_the_earlier_labels_are_another_file(tmp_path: Path) -> None:
    published(tmp_path)
    with pytest.raises(RawMissingError, match=r"expected Data_Entry_2017\.csv"):
        table(tmp_path, listed(tmp_path), 2017)
    earlier = [(name, "No Finding", patient) for name, _, patient in IMAGES]
    lines = [UNQUOTED + ",", *(row(*image, ",") for image in earlier)]
    (tmp_path / ENTRIES[2017]).write_text("\n".join(lines))
    assert table(tmp_path, listed(tmp_path), 2017)[list(LABELS)].to_numpy().sum() == 0
    assert table(tmp_path, listed(tmp_path), 2020)[list(LABELS)].to_numpy().sum() == 4


def test_a_patient_in_both_lists_is_a_leak(tmp_path: Path) -> None:
    names = [name for name, _, _ in IMAGES]
    published(tmp_path, train_val=names[1:3], test=[names[0], names[3]])
    with pytest.raises(LeakError, match="1 patients in both lists: 00000001"):
        table(tmp_path, listed(tmp_path))


def test_an_image_in_both_lists_is_a_leak(tmp_path: Path) -> None:
    names = [name for name, _, _ in IMAGES]
    published(tmp_path, train_val=names, test=names[3:])
    with pytest.raises(LeakError, match=r"1 images in both, such as 00000013_000\.png"):
        table(tmp_path, listed(tmp_path))


@pytest.mark.parametrize("names", [["00000013_000.png", "00000099_000.png"], []])
def test_lists_of_other_images_are_refused(names: list[str], tmp_path: Path) -> None:
    published(tmp_path, test=names)
    with pytest.raises(SplitError, match="1 in the table or in the lists alone, such as 000000"):
        table(tmp_path, listed(tmp_path))


def source_of(raw: Path) -> Source:
    rows, _, digests, errors = index.build(raw, *index._previous(raw / "no", raw / "no"), processes=1)
    assert not errors, errors
    return Source("chest", raw, rows, sorted(digests))


def find(raw: Path, *options: str) -> Findings:
    parser = findings_step.argparse.ArgumentParser()
    add_flags(parser, chestxray14.Options)
    asked = given(chestxray14.Options, parser.parse_args([*options]))
    return chestxray14.find(source_of(raw), asked)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Images of 6 × 4 pixels in two folders: one RGBA, one that the table does not have, patient 13 absent."""
    for folder, names in {
        "images_001/images": IMAGES[:2],
        "more": [*IMAGES[2:3], ("00000099_000.png",)],
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        for number, (name, *_) in enumerate(names):
            grey = np.arange(24, dtype="u1").reshape(4, 6) * (number + 1)
            colours = np.dstack([grey, grey, grey, np.full_like(grey, 255)]) if number else grey
            Image.fromarray(colours).save(tmp_path / folder / name)
    return published(tmp_path)


def labelled(found: Findings) -> dict[str, int]:
    return {row["file"]: row["label"] for row in found.rows}


def test_one_label_against_the_rest(raw: Path) -> None:
    found = find(raw, "--label", "Emphysema")
    assert labelled(found) == {
        "images_001/images/00000001_000.png": 1,
        "images_001/images/00000001_001.png": 0,
        "more/00000002_000.png": 0,
    }
    assert [(row["kind"], row["code"], row["file"]) for row in found.skipped] == [
        ("excluded", "E-LABEL-NONE", "more/00000099_000.png"),
        ("failed", "E-IMG-MISSING", "00000013_000.png"),
    ]
    first = found.rows[0]
    assert (first["group_id"], first["finding_id"]) == ("00000001", "00000001_000")
    assert (first["column"], first["row"], first["centre"]) == ("2.5000", "1.5000", "image")


def test_one_label_against_images_without_a_finding(raw: Path) -> None:
    found = find(raw, "--label", "Emphysema", "--against", "no_finding")
    assert labelled(found) == {
        "images_001/images/00000001_000.png": 1,
        "images_001/images/00000001_001.png": 0,
    }
    excluded = [row for row in found.skipped if row["kind"] == "excluded"]
    assert [row["file"] for row in excluded] == ["more/00000099_000.png", "00000002_000.png"]


def marked(found: Findings) -> dict[str, set[str]]:
    return {
        str(row["finding_id"]): {name for name in LABELS if row.get(f"label_{name}")} for row in found.rows
    }


def test_all_labels_are_one_task_of_which_an_image_may_have_several(raw: Path) -> None:
    found = find(raw)
    assert marked(found) == {
        "00000001_000": {"Cardiomegaly", "Emphysema"}, "00000001_001": set(), "00000002_000": {"Pneumonia"}
    }  # fmt: skip
    assert [name for name in found.rows[0] if name.startswith("label")] == [
        f"label_{name}" for name in LABELS
    ]
    assert classes(Options()).names == LABELS
    assert classes(Options()).multilabel


def test_a_source_without_a_label_has_no_patient_with_it(raw: Path) -> None:
    """Patient 1 has Emphysema in one of two images: both are left out, and 13 labels are left."""
    found = find(raw, "--without", "Emphysema")
    assert marked(found) == {"00000002_000": {"Pneumonia"}}
    assert classes(Options(without="Emphysema")).names == tuple(n for n in LABELS if n != "Emphysema")
    assert "label_Emphysema" not in found.rows[0]
    left = [
        row["finding_id"]
        for row in found.skipped
        if row["kind"] == "excluded" and "found one of the target" in row["reason"]
    ]
    assert left == ["00000001_000", "00000001_001"]


@drawn(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1), st.floats(0.01, 0.99), st.randoms()
)
def test_target_and_source_share_no_patient_and_leave_nobody_out(
    images: list[tuple[int, bool]], share: float, random: object
) -> None:
    every = pd.DataFrame(images, columns=["patient_id", "Hernia"])
    target, source = (
        chosen(every, Options(negatives=share, **{key: "Hernia"})) for key in ("label", "without")
    )
    assert (target ^ source).all()
    assert not {*every["patient_id"][target]} & {*every["patient_id"][source]}
    assert target[every["Hernia"]].all()
    order = every.sample(frac=1, random_state=random.randrange(1000)).index  # type: ignore[attr-defined]
    mixed = chosen(every.loc[order], Options(label="Hernia", negatives=share))
    assert (mixed == target[order]).all()


def test_the_share_of_negatives_is_about_what_was_asked_for() -> None:
    every = pd.DataFrame({"patient_id": [f"{number:08d}" for number in range(4000)], "Hernia": False})
    # 4,000 patients at .25: 1,000, with a standard deviation of 27
    assert abs(chosen(every, Options(label="Hernia", negatives=0.25)).sum() - 1000) < 110


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"label": "Mass", "without": "Mass"}, "E-CONFIG without: expected all labels beside it, label: null, found Mass"),
        ({"against": "no_finding"}, "E-CONFIG against: expected a label beside it, found no_finding"),
        ({"negatives": 0.5}, "E-CONFIG negatives: expected label or without beside it, found 0.5"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_together_are_refused(keys: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Options(**keys)  # type: ignore[arg-type]
    assert str(caught.value) == line


def test_the_official_lists_are_told_by_finding(tmp_path: Path) -> None:
    told = official(published(tmp_path), listed(tmp_path), Options())
    assert told.to_numpy().tolist() == [
        ["00000001", "00000001_000", "train_val"], ["00000001", "00000001_001", "train_val"],
        ["00000002", "00000002_000", "train_val"], ["00000013", "00000013_000", "test"],
    ]  # fmt: skip


def test_the_step_takes_it_like_any_other_collection(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    index.main(["--raw", str(raw), "--out", str(out / "index.parquet"), "--files", str(out / "files.parquet"),
                "--skipped", str(out / "index.csv"), "--processes", "1"])  # fmt: skip
    findings_step.main(
        ["chestxray14", "--dataset", "chest", "--raw", str(raw), "--index", str(out / "index.parquet"),
         "--out", str(out / "findings.csv"), "--skipped", str(out / "skipped.csv"), "--choices",
         str(out / "choices.csv"), "--near-duplicates", str(out / "near.csv"), "--label", "Cardiomegaly"]
    )  # fmt: skip
    lines = (out / "findings.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["00000001", "00000001", "00000001_000", "1"],
        ["00000001", "00000001", "00000001_001", "0"],
        ["00000002", "00000002", "00000002_000", "0"],
    ]


def test_without_comparing_no_image_is_opened_where_patients_are_known(raw: Path) -> None:
    found, source = find(raw), source_of(raw)
    for row in found.rows:
        (raw / row["file"]).write_bytes(b"no picture")
    assert findings_step.group(found, source, compare=False) == []
    assert [row["group_id"] for row in found.rows] == ["00000001", "00000001", "00000002"]
    found.rows[0]["group_id"] = ""
    with pytest.raises(
        ConfigError, match=r"near_duplicates: expected true, .*, found false, and 1 such findings"
    ):
        findings_step.group(found, source, compare=False)


def test_the_official_files_have_their_official_counts(shared: Path) -> None:
    raw = shared / "chestxray14"
    if not raw.is_dir():
        pytest.skip(f"no official lists of ChestX-ray14 at {raw}")
    frame = table(raw, listed(raw), 2020)
    assert len(frame) == 112_120
    assert frame["patient_id"].nunique() == 30_805
    assert frame["split"].value_counts().to_dict() == {"train_val": 86_524, "test": 25_596}
    tested = frame[frame["split"] == "test"][list(LABELS)].sum()
    assert tested.tolist() == [
        3279, 1069, 4658, 6112, 1748, 1623, 555, 2665, 1815, 925, 1093, 435, 1143, 86,
    ]  # fmt: skip
    assert frame["Pneumonia"].sum() == 1431
    assert table(raw, listed(raw), 2017)["Pneumonia"].sum() == 1353
