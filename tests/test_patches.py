"""From findings to patch stores: the steps in a row on phantoms, and what must not depend on what."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from pipeline import findings, skipped
from pipeline.datasets import Source
from pipeline.errors import EmptyError, LabelError
from pipeline.files import read_csv
from pipeline.patches import cut, online, slices
from pipeline.patches.ranges import Ranges
from pipeline.phantom import write_phantom
from pipeline.phantoms.dicom import Geometry, write_ct_series
from pipeline.readers import index
from pipeline.readers.geometry import locate, plane
from pipeline.slice_store import read_slice, write_slices
from pipeline.splits import split
from pipeline.store import UNKNOWN, StoreInfo, ranges_of, read_info, read_patches

STEPS = ("index", "findings", "slices", "patches")


class Etl:
    """Runs the steps on a raw folder, all outputs below ``out``."""

    def __init__(self, kind: str, raw: Path, out: Path, *, processes: int = 1) -> None:
        self.kind, self.raw, self.out, self.processes = kind, raw, out, str(processes)
        self.skipped = {step: out / "skipped" / f"{step}.csv" for step in STEPS}

    def call(self, **paths: object) -> list[str]:
        return [word for name, path in paths.items() for word in (f"--{name.replace('_', '-')}", str(path))]

    def find(self, *options: str) -> "Etl":
        out = self.out
        index.main(
            self.call(
                raw=self.raw,
                out=out / "i",
                files=out / "f",
                skipped=self.skipped["index"],
                processes=self.processes,
            )
        )
        names = {"out": out / "findings.csv", "choices": out / "c", "near_duplicates": out / "n"}
        findings.main(
            [
                self.kind,
                *self.call(
                    dataset="d", raw=self.raw, index=out / "i", skipped=self.skipped["findings"], **names
                ),
                *options,
            ]
        )
        return self

    def read(self, *options: str) -> "Etl":
        names = {
            "findings": self.out / "findings.csv",
            "out": self.out / "slices.h5",
            "skipped": self.skipped["slices"],
        }
        slices.main(
            [
                self.kind,
                *self.call(raw=self.raw, index=self.out / "i", processes=self.processes, **names),
                *options,
            ]
        )
        return self

    def cut(self, extent: str = "65 mm", views: int = 5, *options: str) -> Path:
        store = self.out / "patches.h5"
        names = {
            "findings": self.out / "findings.csv",
            "slices": self.out / "slices.h5",
            "out": store,
            "skipped": self.skipped["patches"],
        }
        cut.main(
            [
                self.kind,
                *self.call(dataset="d", extent=extent, views=views, processes=self.processes, **names),
                *options,
            ]
        )
        return store


@pytest.fixture(scope="module")
def prostate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("prostatex")
    write_phantom("prostatex", raw, 4, 0)
    return raw


@pytest.fixture(scope="module")
def stacked(prostate: Path, tmp_path_factory: pytest.TempPathFactory) -> Etl:
    etl = Etl("prostatex", prostate, tmp_path_factory.mktemp("stacked"))
    etl.find("--channels", "t2", "dwi", "adc").read().cut()
    return etl


def test_a_store_with_a_margin_says_what_its_views_are_drawn_from_unless_that_is_usual(stacked: Etl) -> None:
    def made(**ranges: float) -> StoreInfo:
        path = stacked.out / "online.h5"
        stacked.cut(
            "65 mm", 5, "--out", str(path), "--augmentation", "online", "--online", json.dumps(ranges)
        )
        return read_info(path)

    ten = made(rotation=10)
    assert ranges_of(ten.provenance) == Ranges(rotation=10)
    assert ten.margin == online.margin(65, Ranges(rotation=10)) < online.margin(65)
    usual = made(rotation=20)
    assert "online" not in usual.provenance
    assert (usual.margin, ranges_of(usual.provenance)) == (online.margin(65), Ranges())


def test_every_finding_of_the_phantoms_is_kept(stacked: Etl) -> None:
    info = read_info(stacked.out / "patches.h5")
    assert info.channels == ("t2", "dwi", "adc")
    assert len(info.findings) == len(read_csv(stacked.raw / "ProstateX-Findings-Train.csv"))
    assert (info.findings[["width_mm", "height_mm"]] == 65).all(axis=None)
    assert all(len(read_csv(table)) == 0 for table in stacked.skipped.values())


def test_the_terms_of_the_collection_come_into_the_store(stacked: Etl, tmp_path: Path) -> None:
    for name in ("findings.csv", "i", "slices.h5"):
        (tmp_path / name).write_bytes((stacked.out / name).read_bytes())
    store = Etl("prostatex", stacked.raw, tmp_path).cut(
        "65 mm", 5, "--collection", '{"collection": "PROSTATEx", "licence": "CC BY 3.0"}'
    )
    assert read_info(store).collection == {"collection": "PROSTATEx", "licence": "CC BY 3.0"}


def test_stacked_channels_show_the_same_tissue(stacked: Etl) -> None:
    # Corners of the patch in world coordinates, by each channel's own grid: one point per corner.
    source = Source("d", stacked.raw, index.read_index(stacked.out / "i"), [])
    by_instance = source.index.set_index("sop_instance_uid", drop=False)
    rows = read_csv(stacked.out / "findings.csv")
    for _, finding in rows.groupby(["patient_id", "finding_id"]):
        centres = []
        for row in finding.to_dict("records"):
            instance = by_instance.loc[row["sop_instance_uid"]]
            series = source.index[source.index["series_uid"] == row["series_uid"]]
            centre = plane(instance).to_world(
                float(row["column"]), float(row["row"]), float(row["plane_distance_mm"])
            )
            assert locate(series, centre).instance["sop_instance_uid"] == row["sop_instance_uid"]
            centres.append(centre)
        np.testing.assert_allclose(centres, np.broadcast_to(centres[0], (3, 3)), atol=2e-3)


def test_one_process_and_two_give_the_same_bytes(stacked: Etl, tmp_path: Path) -> None:
    other = Etl("prostatex", stacked.raw, tmp_path, processes=2)
    other.find("--channels", "t2", "dwi", "adc").read().cut()
    for name in ("findings.csv", "slices.h5", "patches.h5", "i"):
        assert (stacked.out / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_a_finding_does_not_depend_on_the_others(stacked: Etl, tmp_path: Path) -> None:
    table = read_csv(stacked.out / "findings.csv")
    first = table["patient_id"].iloc[0]
    for name in ("i", "slices.h5"):
        (tmp_path / name).write_bytes((stacked.out / name).read_bytes())
    alone = Etl("prostatex", stacked.raw, tmp_path)
    table[table["patient_id"] != first].to_csv(tmp_path / "findings.csv", index=False)
    store = alone.read().cut()
    kept = (read_info(stacked.out / "patches.h5").findings["patient_id"] != first).to_numpy().nonzero()[0]
    np.testing.assert_array_equal(
        read_patches(store, range(len(kept)), [5] * len(kept)),
        read_patches(stacked.out / "patches.h5", kept.tolist(), [5] * len(kept)),
    )


def test_statistics_are_those_of_the_whole_series(stacked: Etl) -> None:
    table = read_csv(stacked.out / "findings.csv")
    uid = table["series_uid"].iloc[0]
    source = read_slice(stacked.out / "slices.h5", 0)
    assert source is not None
    instances = index.read_index(stacked.out / "i")
    instances = instances[instances["series_uid"] == uid]
    values = np.stack([pydicom.dcmread(stacked.raw / file).pixel_array for file in instances["file"]])
    assert (source.mean, source.std) == pytest.approx((values.mean(), values.std()), rel=1e-5)


def test_a_damaged_series_leaves_its_findings_out_and_the_others_go_on(
    prostate: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(prostate, raw)
    etl = Etl("prostatex", raw, tmp_path / "out").find()
    table = read_csv(etl.out / "findings.csv")
    victim = raw / table["file"].iloc[0]
    data = bytearray(victim.read_bytes())
    victim.write_bytes(data[:-200])  # after the index: a disk that fails, say
    store = etl.read().cut()
    left_out = read_csv(etl.skipped["slices"])
    same = table[table["series_uid"] == table["series_uid"].iloc[0]]
    assert left_out["code"].unique().tolist() == ["E-DCM-TRUNC"]
    assert left_out["finding_id"].tolist() == same["finding_id"].tolist()
    assert len(read_info(store).findings) == len(table) - len(same)
    tables = [str(etl.skipped[step]) for step in STEPS]
    skipped.main(["--tables", *tables, "--out", str(tmp_path / "skipped.csv")])
    assert read_csv(tmp_path / "skipped.csv")["step"].unique().tolist() == ["slices"]


def images(raw: Path, **pictures: np.ndarray) -> Path:
    raw.mkdir(parents=True)
    rows = ["image,patient_id,finding_id,label"]
    for number, (name, values) in enumerate(pictures.items()):
        Image.fromarray(values.astype("u1")).save(raw / f"{name}.png")
        rows.append(f"{name}.png,{name},1,{number % 2}")
    (raw / "own.csv").write_text("\n".join(rows) + "\n")
    return raw


NOISE = np.random.default_rng(0).integers(0, 255, (80, 80))


def test_the_challenges_test_findings_are_cut_alike_and_cannot_be_trained_on(
    prostate: Path, stacked: Etl, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(prostate, raw)
    for name in ("Findings", "Images"):  # the tables of the test are those of the training without ClinSig
        lines = (raw / f"ProstateX-{name}-Train.csv").read_text().splitlines()
        keep = [line.rsplit(",", 1)[0] if name == "Findings" else line for line in lines]
        (raw / f"ProstateX-{name}-Test.csv").write_text("\n".join(keep) + "\n")
    etl = Etl("prostatex", raw, tmp_path / "out")
    store = etl.find("--part", "test", "--channels", "t2", "dwi", "adc").read().cut(views=1)
    info = read_info(store)
    assert (info.findings["label"] == UNKNOWN).all()
    count = len(info.findings)
    np.testing.assert_array_equal(
        read_patches(store, range(count), [1] * count),
        read_patches(stacked.out / "patches.h5", range(count), [1] * count),
    )
    skipped.main(["--tables", str(etl.skipped["patches"]), "--out", str(tmp_path / "skipped.csv")])
    call = [
        "--store",
        str(store),
        "--skipped",
        str(tmp_path / "skipped.csv"),
        "--out",
        str(tmp_path / "f.csv"),
    ]
    with pytest.raises(LabelError, match="expected a label for each finding"):
        split.main(call)


def test_constant_images_and_black_crops_are_left_out_by_name(tmp_path: Path) -> None:
    black_middle = NOISE.copy()
    black_middle[20:60, 20:60] = 0
    raw = images(tmp_path / "raw", good=NOISE, flat=np.full((80, 80), 7), hole=black_middle)
    etl = Etl("table", raw, tmp_path / "out").find("--table", "own.csv").read()
    store = etl.cut("20 px")
    assert read_info(store).findings["patient_id"].tolist() == ["good"]
    assert read_csv(etl.skipped["slices"])[["code", "file"]].to_numpy().tolist() == [
        ["E-IMG-CONST", "flat.png"]
    ]
    assert read_csv(etl.skipped["patches"])[["code", "patient_id", "file"]].to_numpy().tolist() == [
        ["E-IMG-CONST", "hole", "hole.png"]
    ]


def test_a_channel_without_any_slice_leaves_nothing_and_says_so(stacked: Etl, tmp_path: Path) -> None:
    # Slices of T2 alone, as if every other series had been blank: no finding has all three channels.
    table = read_csv(stacked.out / "findings.csv")
    found = {number: read_slice(stacked.out / "slices.h5", number) for number in table.index}
    t2 = [(number, found[number].pixels) for number in table.index[table["channel"] == "t2"]]
    write_slices(tmp_path / "slices.h5", t2, lambda _: (0.0, 1.0), {})
    (tmp_path / "findings.csv").write_bytes((stacked.out / "findings.csv").read_bytes())
    with pytest.raises(EmptyError, match="findings on all channels"):
        Etl("prostatex", stacked.raw, tmp_path).cut()


def test_nothing_left_is_an_error_before_any_training(tmp_path: Path) -> None:
    raw = images(tmp_path / "raw", flat=np.full((80, 80), 7))
    with pytest.raises(EmptyError, match=r"E-EMPTY .*all left out"):
        Etl("table", raw, tmp_path / "out").find("--table", "own.csv").read()


def test_an_extent_in_millimetres_where_no_image_has_a_scale_leaves_nothing_and_says_why(
    tmp_path: Path,
) -> None:
    raw = images(tmp_path / "raw", a=NOISE, b=NOISE.T)
    etl = Etl("table", raw, tmp_path / "out").find("--table", "own.csv").read()
    why = (
        r"found none \(E-DCM-TAG a\.png: expected a pixel spacing, for an extent of 65 mm, found none; give "
    )
    with pytest.raises(EmptyError, match=rf"^E-EMPTY .*findings\.csv: .*{why}"):
        etl.cut("65 mm")


@pytest.mark.parametrize("extent", ["20 mm", "20 mm, 1/2 height", "1/2 width, 20 mm"])
def test_an_image_without_a_scale_costs_its_own_finding_where_the_extent_is_in_millimetres(
    tmp_path: Path, extent: str
) -> None:
    raw = tmp_path / "raw"
    bare, zero, whole = write_ct_series(
        raw, np.random.default_rng(1).normal(40, 20, (3, 64, 64)), Geometry((0, 0, 0))
    )
    for path, spacing in ((bare, None), (zero, [0, 0])):
        ds = pydicom.dcmread(path)
        ds.PixelSpacing = spacing
        ds.SeriesInstanceUID += f".{path.stem[-1]}"
        ds.save_as(path)
    Image.fromarray(NOISE.astype("u1")).save(raw / "p.png")
    nib.Nifti1Image(np.tile(NOISE[..., None], 3).astype("i2"), np.eye(4)).to_filename(raw / "v.nii")
    names = [bare.name, zero.name, whole.name, "p.png", "v.nii"]
    lines = [
        f"{name},p{number},1,{number % 2},32,32,{1 if name == 'v.nii' else ''}"
        for number, name in enumerate(names)
    ]
    (raw / "own.csv").write_text("\n".join(["image,patient_id,finding_id,label,x,y,z", *lines]))
    etl = Etl("table", raw, tmp_path / "out").find("--table", "own.csv").read()
    assert read_info(etl.cut(extent)).findings["patient_id"].tolist() == ["p2", "p4"]
    listed = [read_csv(etl.skipped[step])[["code", "file"]].to_numpy().tolist() for step in STEPS]
    assert listed == [
        [["E-DCM-VALUE", zero.name]],
        [["E-IMG-MISSING", zero.name]],
        [],
        [["E-DCM-TAG", bare.name], ["E-DCM-TAG", "p.png"]],
    ]


def ct(raw: Path) -> Path:
    """A CT whose circle of reconstruction is surrounded by padding of −2000."""
    rows, columns = np.mgrid[:64, :64]
    volume = np.random.default_rng(1).normal(40, 20, (3, 64, 64))
    volume[:, (rows - 32) ** 2 + (columns - 32) ** 2 > 900] = np.nan
    write_ct_series(raw / "scan", volume, Geometry((0, 0, 0)), padding=-2000)
    (raw / "own.csv").write_text("image,patient_id,finding_id,label,x,y,z\nscan,p,1,1,32,32,1\n")
    return raw


def test_padding_is_in_neither_the_statistics_nor_the_patch(tmp_path: Path) -> None:
    etl = Etl("table", ct(tmp_path / "raw"), tmp_path / "out").find("--table", "own.csv").read()
    source = read_slice(etl.out / "slices.h5", 0)
    assert source is not None
    assert (source.mean, source.std) == pytest.approx((40, 20), abs=1)
    assert source.pixels.min() > -60


def test_a_slice_of_padding_costs_its_own_findings_only(tmp_path: Path) -> None:
    volume = np.random.default_rng(1).normal(40, 20, (3, 64, 64))
    volume[2] = np.nan
    write_ct_series(tmp_path / "raw" / "scan", volume, Geometry((0, 0, 0)), padding=-2000)
    lines = "image,patient_id,finding_id,label,x,y,z\nscan,p,1,1,32,32,1\nscan,p,2,1,32,32,2\n"
    (tmp_path / "raw" / "own.csv").write_text(lines)
    etl = Etl("table", tmp_path / "raw", tmp_path / "out").find("--table", "own.csv").read()
    assert read_csv(etl.skipped["slices"])[["code", "finding_id"]].to_numpy().tolist() == [
        ["E-IMG-CONST", "2"]
    ]
    assert len(read_info(etl.cut("20 px")).findings) == 1


def test_one_nan_in_a_volume_is_found_wherever_it_is(tmp_path: Path) -> None:
    voxels = np.random.default_rng(2).normal(size=(40, 40, 6)).astype("f4")
    voxels[0, 0, 0] = np.nan  # far from the finding, but in its statistics
    (tmp_path / "raw").mkdir()
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "raw" / "v.nii.gz")
    (tmp_path / "raw" / "own.csv").write_text(
        "image,patient_id,finding_id,label,x,y,z\nv.nii.gz,p,1,1,20,20,4\n"
    )
    with pytest.raises(
        EmptyError, match=r"E-IMG-NAN: expected finite pixel values, found nan at index \(0, 0, 0\)"
    ):
        Etl("table", tmp_path / "raw", tmp_path / "out").find("--table", "own.csv")


def test_a_finding_that_lacks_a_configured_channel_is_not_stacked(stacked: Etl) -> None:
    table = read_csv(stacked.out / "findings.csv")
    first = table[["patient_id", "finding_id"]].iloc[0].tolist()
    lacking = ((table[["patient_id", "finding_id"]] == first).all(axis=1)) & (table["channel"] == "t2")
    order = cut.located_findings(table[~lacking], ["t2", "dwi", "adc"])
    assert [task.patient_id for task in order] == list(
        table.drop_duplicates(["patient_id", "finding_id"])["patient_id"].iloc[1:]
    )


def test_window_comes_before_the_statistics(tmp_path: Path) -> None:
    etl = (
        Etl("table", ct(tmp_path / "raw"), tmp_path / "out")
        .find("--table", "own.csv")
        .read("--window", "30", "50")
    )
    source = read_slice(etl.out / "slices.h5", 0)
    assert source is not None
    assert (source.pixels.min(), source.pixels.max()) == (30, 50)
    assert 5 < source.std < 10


def test_published_intensity_normalises_by_patient_and_class(prostate: Path, tmp_path: Path) -> None:
    etl = Etl("prostatex", prostate, tmp_path).find().read("--intensity", "paper")
    table = read_csv(tmp_path / "findings.csv")
    for _, rows in table.groupby(["patient_id", "label"]):
        found = [read_slice(etl.out / "slices.h5", number) for number in rows.index]
        pixels = np.concatenate([source.pixels.ravel() for source in found if source])
        assert {(source.mean, source.std) for source in found if source} == {(found[0].mean, found[0].std)}
        assert found[0].mean == pytest.approx(pixels.mean(), rel=1e-5)
        assert pixels.max() <= 255
        assert (pixels == np.floor(pixels)).all()


def test_real_lesion_is_cut_from_the_ct(shared: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "LIDC-IDRI-0001").symlink_to(shared / "ct" / "LIDC-IDRI-0001")
    # The nodule of the XML lies around (312, 360) on the slice at z = −125 mm.
    (raw / "own.csv").write_text(
        "image,patient_id,finding_id,label,x_mm,y_mm,z_mm\nLIDC-IDRI-0001,p,1,1,53.4,81.4,-125\n"
    )
    etl = Etl("table", raw, tmp_path / "out").find("--table", "own.csv").read("--window", "-1400", "200")
    (row,) = read_csv(etl.out / "findings.csv").to_dict("records")
    assert (float(row["column"]), float(row["row"])) == pytest.approx((312.036, 359.964), abs=0.01)
    assert abs(float(row["plane_distance_mm"])) < 0.01
    patch = read_patches(etl.cut("60 mm", views=1), [0], [1])[0, 0]
    assert patch[28:37, 28:37].mean() > patch.mean()  # soft tissue in a lung
