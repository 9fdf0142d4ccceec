"""MURA and CheXpert, and what they have in common with ChestX-ray14: lists of a collection, and whole pictures."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from pipeline.card import Preprocessing
from pipeline.case import prepare
from pipeline.classes import UNKNOWN
from pipeline.datasets import Findings, Source, chestxray14, chexpert, mura, whole
from pipeline.errors import ColumnError, LabelError, RawMissingError
from pipeline.patches import reduced
from pipeline.phantom import write_phantom
from pipeline.phantoms import chest
from pipeline.readers import index
from pipeline.readers.images import read_header
from pipeline.readers.index import as_table
from pipeline.splits.given import places
from pipeline.store import read_info, read_patches
from tests.etl import build

NUMBERS = {"columns": 5.0, "rows": 4.0}


def source(raw: Path, *images: str) -> Source:
    """A raw folder whose index has these pictures of 5 × 4 pixels, and all its files as documents."""
    rows = as_table([{"file": image, "format": "image", **NUMBERS} for image in images])
    return Source("x", raw, rows, sorted(str(path.relative_to(raw)) for path in raw.rglob("*.csv")))


def labelled(found: Findings) -> dict[str, int]:
    return {f"{row['patient_id']} {row['finding_id']}": row["label"] for row in found.rows}


def test_pictures_go_by_the_ends_of_their_paths_the_first_of_several() -> None:
    names = ["b/x/1.png", "a/x/1.png", "a/y/1.png"]
    table = as_table([{"file": name, "format": "image", **NUMBERS} for name in names])
    assert {key: one.file for key, one in whole.pictures(table, 2).items()} == {
        "x/1.png": "a/x/1.png", "y/1.png": "a/y/1.png"
    }  # fmt: skip


class TestReduced:
    """Pictures that are made smaller when they are read."""

    def test_a_picture_keeps_its_aspect_and_never_grows(self) -> None:
        assert [reduced.size(1024, 1024, 250), reduced.size(512, 300, 250), reduced.size(200, 90, 250)] == [
            (250, 250), (250, 146), (200, 90),
        ]  # fmt: skip
        assert reduced.size(1024, 900, None) == (1024, 900)

    def test_a_ramp_stays_the_ramp_of_its_pixel_centres(self) -> None:
        """Of four columns to one, pixel i shows what was at 4 i + 1.5."""
        ramp = np.tile(np.arange(64, dtype="f4"), (8, 1))
        small = reduced.shrink(ramp, 16)
        assert small.shape == (2, 16)
        np.testing.assert_allclose(
            small[:, 2:-2], np.tile(4 * np.arange(16) + 1.5, (2, 1))[:, 2:-2], atol=1e-4
        )
        assert reduced.point(1.5, 5.5, 0.25) == (0.0, 1.0)
        assert reduced.shrink(ramp, 64) is ramp

    def test_a_new_picture_is_cut_as_those_of_training_were(self, phantoms: Path, tmp_path: Path) -> None:
        folder = build("mura", phantoms / "mura", tmp_path / "mura", extent="whole", width=40)
        info, rows = read_info(folder / "patches.h5"), pd.read_csv(folder / "findings.csv", dtype=str)
        with h5py.File(folder / "slices.h5") as file:
            assert {slice_.shape[1] for slice_ in file["slices"].values()} == {40}
        # Of 72 × 110 pixels it is 40 × 61.
        case = rows.iloc[0]
        picture = read_header(phantoms / "mura" / case["file"])
        shape = (40, round(picture["rows"] * 40 / picture["columns"]))
        assert (float(case["column"]), float(case["row"])) == tuple((side - 1) / 2 for side in shape)
        how = Preprocessing("mura", ("image",), "whole", None, "series", "geometry", 2, 0, 2, width=40)
        made = prepare(phantoms / "mura" / case["file"], case[["patient_id", "finding_id"]], how)
        stored = read_patches(info.path, [0], [2])
        np.testing.assert_array_equal(made.patches, stored)


class TestMura:
    IMAGES = (
        "MURA-v1.1/train/XR_ELBOW/patient00001/study1_positive/image1.png",
        "MURA-v1.1/train/XR_HAND/patient00001/study2_negative/image1.png",
        "MURA-v1.1/valid/XR_HAND/patient00009/study1_negative/image1.png",
    )

    @pytest.fixture
    def raw(self, tmp_path: Path) -> Path:
        for part in ("train", "valid"):
            own = [image for image in self.IMAGES if f"/{part}/" in image]
            (tmp_path / f"{part}_image_paths.csv").write_text("\n".join(own) + "\n")
            studies = [image.rpartition("/")[0] for image in own]
            lines = [f"{study}/,{int(study.endswith('positive'))}" for study in studies]
            (tmp_path / f"{part}_labeled_studies.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    def test_an_image_has_the_label_of_its_study_wherever_it_lies(self, raw: Path) -> None:
        moved = [image.replace("MURA-v1.1", "elsewhere") for image in self.IMAGES]
        found = mura.find(
            source(raw, *moved, "elsewhere/train/XR_HAND/patient7/s/image1.png"), mura.Options()
        )
        assert labelled(found) == {
            "patient00001 elbow-study1-image1": 1, "patient00001 hand-study2-image1": 0,
            "patient00009 hand-study1-image1": 0,
        }  # fmt: skip
        assert found.rows[0]["group_id"] == "patient00001"
        assert (found.rows[0]["column"], found.rows[0]["row"]) == ("2.0000", "1.5000")
        assert [(row["kind"], row["code"]) for row in found.skipped] == [("excluded", "E-LABEL-NONE")]

    def test_some_regions_alone(self, raw: Path) -> None:
        found = mura.find(source(raw, *self.IMAGES), mura.Options(regions=["elbow"]))
        assert labelled(found) == {"patient00001 elbow-study1-image1": 1}

    def test_an_image_that_is_not_there_failed(self, raw: Path) -> None:
        found = mura.find(source(raw, *self.IMAGES[:2]), mura.Options())
        assert [(row["kind"], row["patient_id"]) for row in found.skipped] == [("failed", "patient00009")]

    @pytest.mark.parametrize(
        ("name", "line", "told"),
        [
            ("train_image_paths.csv", "MURA-v1.1/train/XR_HAND/patient00001/study3_negative/image1.png", "study3"),
            ("train_image_paths.csv", "MURA-v1.1/valid/XR_HAND/patient00009/study1_negative/image1.png", "valid/"),
            ("valid_image_paths.csv", "image1.png", "image1.png"),
            ("valid_labeled_studies.csv", "MURA-v1.1/valid/XR_HAND/patient00009/study1_negative/,maybe", "maybe"),
        ],
    )  # fmt: skip
    def test_a_line_that_cannot_be_is_named(self, raw: Path, name: str, line: str, told: str) -> None:
        (raw / name).write_text((raw / name).read_text() + line + "\n")
        with pytest.raises(LabelError, match=told) as caught:
            mura.find(source(raw, *self.IMAGES), mura.Options())
        assert name in str(caught.value)

    def test_a_list_that_is_not_there_is_named(self, raw: Path) -> None:
        (raw / "valid_labeled_studies.csv").unlink()
        with pytest.raises(RawMissingError, match=r"valid_labeled_studies\.csv"):
            mura.official(raw, ["train_labeled_studies.csv", "train_image_paths.csv"], mura.Options())


class TestChexpert:
    HEAD = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema,Consolidation,Atelectasis,Pleural Effusion"
    IMAGES = tuple(
        f"train/patient00001/study{study}/view{view}_{projection}.jpg"
        for study, view, projection in ((1, 1, "frontal"), (1, 2, "lateral"), (2, 1, "frontal"))
    )

    @pytest.fixture
    def raw(self, tmp_path: Path) -> Path:
        cells = ["1.0,0.0,-1.0,-1.0,", "1.0,0.0,-1.0,-1.0,", "-1.0,-1.0,-1.0,-1.0,-1.0"]
        lines = [
            f"CheXpert-v1.0-small/{image},Male,50,x,AP,,{own}"
            for image, own in zip(self.IMAGES, cells, strict=True)
        ]
        (tmp_path / "train.csv").write_text("\n".join([self.HEAD, *lines]) + "\n")
        line = "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,0.0,0.0,0.0,0.0"
        (tmp_path / "valid.csv").write_text(f"{self.HEAD}\n{line}\n")
        return tmp_path

    @pytest.mark.parametrize(
        ("uncertain", "first", "last"),
        [
            # Cardiomegaly, Edema, Consolidation, Atelectasis, Pleural Effusion
            ("best", [1, 0, 0, 1, 0], [0, 1, 0, 1, 1]),
            ("zeros", [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
            ("ones", [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]),
            ("ignore", [1, 0, UNKNOWN, UNKNOWN, 0], [UNKNOWN] * 5),
        ],
    )
    def test_what_is_not_sure_counts_as_the_policy_has_it(
        self, raw: Path, uncertain: str, first: list[int], last: list[int]
    ) -> None:
        columns = ["Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion"]
        every = chexpert.images(raw, ["train.csv", "valid.csv"], uncertain)
        assert every[columns].iloc[[0, 2]].to_numpy().tolist() == [first, last]
        assert every["finding_id"].tolist()[:2] == ["study1-view1", "study1-view2"]

    def test_an_image_without_a_sure_label_is_left_out_where_nobody_knows(self, raw: Path) -> None:
        found = chexpert.find(source(raw, *self.IMAGES), chexpert.Options(uncertain="ignore"))
        assert [row["finding_id"] for row in found.rows] == ["study1-view1", "study1-view2"]
        assert found.rows[0]["label_Atelectasis"] == ""
        left = [(row["kind"], row["code"]) for row in found.skipped]
        assert left == [("excluded", "E-LABEL-NONE"), ("failed", "E-IMG-MISSING")]

    def test_frontal_images_alone(self, raw: Path) -> None:
        found = chexpert.find(source(raw, *self.IMAGES), chexpert.Options(projection="frontal"))
        assert [row["finding_id"] for row in found.rows] == ["study1-view1", "study2-view1"]

    @pytest.mark.parametrize(
        ("old", "new", "error", "told"),
        [
            (",-1.0,-1.0,\n", ",0.5,-1.0,\n", LabelError, "'0.5' of Consolidation"),
            ("view2_lateral", "view2_above", LabelError, "view2_above"),
            ("Pleural Effusion", "Pleural", ColumnError, "Pleural Effusion"),
        ],
    )
    def test_what_cannot_be_is_named(
        self, raw: Path, old: str, new: str, error: type[Exception], told: str
    ) -> None:
        text = (raw / "train.csv").read_text()
        (raw / "train.csv").write_text(text.replace(old, new, 1))
        with pytest.raises(error, match=told):
            chexpert.find(source(raw, *self.IMAGES), chexpert.Options())


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for kind in ("chestxray14", "chexpert", "mura"):
        write_phantom(kind, folder / kind, 16, 0)
    return folder


class TestPhantoms:
    """Synthetic data in the official layouts, read as the real ones are."""

    @pytest.mark.parametrize("kind", [chestxray14, chexpert, mura])
    def test_every_image_is_found_and_the_lists_part_the_patients(self, phantoms: Path, kind: object) -> None:
        name = kind.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
        folder, options = phantoms / name, kind.Options()  # type: ignore[attr-defined]
        rows, _, digests, errors = index.build(folder, *index.nothing(), processes=1)
        found = kind.find(Source(name, folder, rows, sorted(digests)), options)  # type: ignore[attr-defined]
        assert not errors
        assert not found.skipped
        assert len(found.rows) == len(rows) == len([*folder.rglob("*.png"), *folder.rglob("*.jpg")])
        told = kind.official(folder, sorted(digests), options)  # type: ignore[attr-defined]
        assert places(told, "official", 1, folder) == ["train", "validation", "test"]
        key = ["patient_id", "finding_id"]
        both = pd.DataFrame(found.rows)[key].merge(told, on=key, validate="one_to_one")
        assert len(both) == len(told)
        # A quarter of the patients is tested.
        tested = both["patient_id"][both["place"] == "test"].nunique()
        assert (tested, both["patient_id"].nunique()) == (4, 16)

    @pytest.mark.parametrize("label", [name for name, sign in chest.SIGNS.items() if sign.sides != 1])
    def test_a_label_shows_where_its_sign_is(self, label: str) -> None:
        """By STRENGTH of its shade on average; places of signs on one side alone are not known."""
        streams = [[np.random.default_rng(number) for number in range(40)] for _ in range(2)]
        means = [
            np.mean([chest.picture(rng, 41, 41, signs) for rng in some], axis=0)
            for some, signs in zip(streams, ([], [label]), strict=True)
        ]
        sign = chest.SIGNS[label]
        row, column = (round(20 * (1 + place)) for place in (sign.v, sign.u))
        assert 0.6 < (means[1] - means[0])[row, column] / sign.shade < 0.9
