"""Stores: what goes in comes out, the same bytes each time, and damage is noticed."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from pipeline.classes import UNKNOWN, Classes
from pipeline.errors import StoreError, StrangeStoreError
from pipeline.slice_store import SliceFacts, read_facts, read_slice, write_slices
from pipeline.store import read_info, read_patches, write_store

FINDINGS = pd.DataFrame(
    {
        "patient_id": ["0005", "0005", "né"],
        "group_id": ["0005", "0005", "né"],
        "finding_id": ["1a", "1b", "0"],
        "label": [1, 0, 0],
        "width_mm": [65.0, 65.0, np.nan],
        "height_mm": [65.0, 65.0, np.nan],
    }
)
FINDINGS_READ = FINDINGS.astype({"label": "u1", "width_mm": "f4", "height_mm": "f4"})
ABOUT = {"dataset": "prostatex", "channels": ["t2", "adc"], "normalization": "series", "provenance": {"a": 1}}


def blocks(views: int = 5) -> list[np.ndarray]:
    return list(np.random.default_rng(0).normal(size=(3, views, 2, 65, 65)).astype("f4"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "patches.h5", FINDINGS, blocks(), views=5, **ABOUT)
    return tmp_path / "patches.h5"


def test_ids_stay_text_and_attributes_survive(store: Path) -> None:
    info = read_info(store)
    assert info.findings["patient_id"].tolist() == ["0005", "0005", "né"]
    assert info.findings["finding_id"].tolist() == ["1a", "1b", "0"]
    assert (info.dataset, info.channels, info.views, info.provenance) == (
        "prostatex",
        ("t2", "adc"),
        5,
        {"a": 1},
    )


def test_the_terms_of_the_data_stay_with_them(store: Path, tmp_path: Path) -> None:
    terms = {"collection": "PROSTATEx", "licence": "CC BY 3.0", "citation": "Thöny H. 2017"}
    write_store(tmp_path / "terms.h5", FINDINGS, blocks(), views=5, **ABOUT, collection=terms)
    assert read_info(tmp_path / "terms.h5").collection == terms
    with h5py.File(tmp_path / "terms.h5") as file:
        assert json.loads(file.attrs["collection"]) == terms
    with h5py.File(store, "r+") as older:
        del older.attrs["collection"]
    assert read_info(store).collection == {}


def test_the_first_views_of_each_finding_come_back(store: Path) -> None:
    found = read_patches(store, [2, 0], [1, 3])
    expected = blocks()
    np.testing.assert_array_equal(found, np.concatenate([expected[2][:1], expected[0][:3]]))


def test_more_views_than_stored_are_refused(store: Path) -> None:
    with pytest.raises(StoreError, match="at least 6 views of each finding, found 5"):
        read_patches(store, [0], [6])


def test_a_finding_without_a_block_is_left_out(tmp_path: Path) -> None:
    first, _, last = blocks()
    write_store(tmp_path / "p.h5", FINDINGS, [first, None, last], views=5, **ABOUT)
    info = read_info(tmp_path / "p.h5")
    assert info.findings["finding_id"].tolist() == ["1a", "0"]
    np.testing.assert_array_equal(read_patches(info.path, [1], [5]), last)


def test_the_same_content_gives_the_same_bytes(store: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "again.h5", FINDINGS, blocks(), views=5, **ABOUT)
    assert store.read_bytes() == (tmp_path / "again.h5").read_bytes()


@pytest.mark.parametrize("place", [0.02, 0.2, 0.5, 0.9])
def test_a_flipped_bit_among_the_patches_is_noticed(store: Path, place: float) -> None:
    data = bytearray(store.read_bytes())
    marker = blocks()[int(place * 3)][0, 0, 0, :4].tobytes()
    at = bytes(data).index(marker)
    data[at] ^= 1
    store.write_bytes(data)
    with pytest.raises(
        StoreError, match=r"E-STORE .*patches\.h5: expected a whole HDF5 store.*delete the file"
    ):
        read_patches(store, [0, 1, 2], [5, 5, 5])


def test_a_flipped_bit_in_an_id_or_a_label_is_noticed(store: Path) -> None:
    whole = store.read_bytes()
    for marker, offset in ((b"0005", 3), (bytes([1, 0, 0]), 1)):
        places = [found.start() for found in re.finditer(re.escape(marker), whole)]
        noticed = 0
        for place in places:
            data = bytearray(whole)
            data[place + offset] ^= 1
            store.write_bytes(data)
            try:
                unchanged = read_info(store).findings.equals(FINDINGS_READ)
            except StoreError:
                noticed += 1
            else:
                assert unchanged  # the bytes were of something else
        assert noticed


@pytest.mark.parametrize("keep", [0, 10, 1000, 100_000])
def test_a_cut_file_is_noticed(store: Path, keep: int) -> None:
    store.write_bytes(store.read_bytes()[:keep])
    with pytest.raises(StoreError, match="E-STORE"):
        read_info(store)


def test_a_store_of_before_there_were_other_classes_is_refused_with_the_command_that_makes_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.SCHEMA_VERSION", 1)
    write_store(tmp_path / "p.h5", FINDINGS, blocks(), views=5, **ABOUT)
    monkeypatch.undo()
    with pytest.raises(
        StoreError, match=r"expected schema version 2, found version 1; .* \./run --force .*/p\.h5"
    ):
        read_info(tmp_path / "p.h5")


def test_classes_and_side_travel_with_the_store(tmp_path: Path) -> None:
    three = Classes(("normal", "benign", "malignant"))
    write_store(
        tmp_path / "p.h5", FINDINGS.assign(label=[2, 0, UNKNOWN]), blocks(), views=5, **ABOUT, classes=three
    )
    info = read_info(tmp_path / "p.h5")
    assert info.classes == three
    assert info.findings["label"].tolist() == [2, 0, UNKNOWN]
    with h5py.File(tmp_path / "p.h5") as file:
        assert (file.attrs["schema_version"], file.attrs["side"]) == (2, 65)
        assert list(file.attrs["classes"]) == ["normal", "benign", "malignant"]


def test_several_labels_are_a_row_of_numbers_of_each_finding(tmp_path: Path) -> None:
    signs = Classes(("mass", "nodule"), multilabel=True)
    table = FINDINGS.drop(columns="label").assign(label_mass=[1, 0, 1], label_nodule=[0, UNKNOWN, 1])
    write_store(tmp_path / "p.h5", table, blocks(), views=5, **ABOUT, classes=signs)
    info = read_info(tmp_path / "p.h5")
    assert info.classes == signs
    assert info.findings[["label_mass", "label_nodule"]].to_numpy().tolist() == [[1, 0], [0, UNKNOWN], [1, 1]]
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["findings/label"].shape == (3, 2)


def test_a_label_that_is_no_class_of_the_store_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "p.h5", FINDINGS.assign(label=[0, 1, 2]), blocks(), views=5, **ABOUT)
    with pytest.raises(StoreError, match=r"expected labels of 2 classes \(label 0, label 1\), found a label"):
        read_info(tmp_path / "p.h5")


def test_a_failed_write_leaves_the_old_store_and_nothing_beside(store: Path) -> None:
    before = store.read_bytes()
    with pytest.raises(ValueError, match="block of shape"):
        write_store(store, FINDINGS, blocks(views=4), views=5, **ABOUT)
    assert store.read_bytes() == before
    assert [path.name for path in store.parent.iterdir()] == ["patches.h5"]


def test_slices_come_back_with_their_statistics(tmp_path: Path) -> None:
    image = np.arange(12, dtype="f4").reshape(3, 4)
    write_slices(tmp_path / "s.h5", [(2, image)], lambda number: (float(number), 3.0), {})
    found = read_slice(tmp_path / "s.h5", 2)
    assert found is not None
    np.testing.assert_array_equal(found.pixels, image)
    assert (found.mean, found.std) == (2.0, 3.0)
    assert read_slice(tmp_path / "s.h5", 0) is None


def replace(path: Path, name: str, make: Callable[[h5py.File, str], object]) -> None:
    """Put something else in the place of a part of a store."""
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file, name)


def virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout((3,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "label", (3,))
    file.create_virtual_dataset(name, layout)


def referenced(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (3,), h5py.ref_dtype, chunks=(3,), fletcher32=True)


def of_any_length(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (3,), h5py.string_dtype(), chunks=(3,))


def plugged(file: h5py.File, name: str) -> None:
    blosc = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    blosc.set_chunk((3,))
    blosc.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (2,))  # registered number of Blosc, which is a plugin
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((3,)), dcpl=blosc)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/other.h5", "/label")), r"a link \(ExternalLink\)"),
        (lambda file, name: file.__setitem__(name, h5py.SoftLink("/findings/width_mm")), r"a link \(SoftLink\)"),
        (lambda file, name: file.__setitem__(name, h5py.SoftLink(f"/{name}")), r"a link \(SoftLink\)"),
        (lambda file, name: file.create_group(name), "no Dataset"),
        (lambda file, name: file.__setitem__(name, np.dtype("u1")), "no Dataset"),
        (virtual, "values in another file"),
        (lambda file, name: file.create_dataset(name, (3,), "u1", external=[("other.raw", 0, 3)]),
         "values in another file"),
        (referenced, "values of type object"),
        (of_any_length, "values of type object"),
        (plugged, r"filters \[32001\]"),
        (lambda file, name: file.create_dataset(name, (3,), "u1"), r"filters \[\]"),
        (lambda file, name: file.create_dataset(name, (10**12,), "u1", chunks=(10**6,), fletcher32=True),
         "1,000,000,000,000 bytes of values in a file of"),
    ],
)  # fmt: skip
def test_what_no_store_of_ours_holds_is_refused_before_it_is_read(
    store: Path, make: Callable[[h5py.File, str], object], found: str
) -> None:
    replace(store, "findings/label", make)
    with pytest.raises(
        StrangeStoreError,
        match=rf"^E-STORE-STRANGE .*patches\.h5: .*found .*{found}.*at findings/label; do not",
    ):
        read_info(store)


@pytest.mark.parametrize("name", ["patches", "findings"])
def test_links_on_the_way_and_to_the_patches_are_refused_too(store: Path, name: str) -> None:
    replace(store, name, lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/other.h5", "/x")))
    with pytest.raises(StrangeStoreError, match=rf"a link \(ExternalLink\) at {name}"):
        read_info(store)
    if name == "patches":
        with pytest.raises(StrangeStoreError, match=rf"a link \(ExternalLink\) at {name}"):
            read_patches(store, [0], [1])


def test_a_slice_in_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    write_slices(path, [(0, np.zeros((3, 4), "f4"))], lambda _: (0.0, 1.0), {})
    replace(path, "slices/000000", lambda file, name: file.__setitem__(name, h5py.ExternalLink("o.h5", "/x")))
    for read in (lambda: read_slice(path, 0), lambda: read_facts(path, [0])):
        with pytest.raises(StrangeStoreError, match=r"a link \(ExternalLink\) at slices/000000"):
            read()


def test_facts_come_without_pixels_and_none_where_a_row_was_skipped(tmp_path: Path) -> None:
    slices = [(0, np.zeros((3, 4), "f4")), (2, np.ones((3, 4), "f4"))]
    write_slices(tmp_path / "s.h5", slices, lambda number: (float(number), 3.0), {})
    facts = [SliceFacts(3, 4, mean, 3.0) for mean in (2.0, 0.0)]
    assert read_facts(tmp_path / "s.h5", [2, 1, 0]) == [facts[0], None, facts[1]]
    source = read_slice(tmp_path / "s.h5", 2)
    assert source is not None
    assert source.facts == facts[0]


@pytest.mark.parametrize("value", [np.inf, np.nan, "one", [1, 1], np.array([], "i8"), b"\xff", 1j])
def test_an_attribute_of_another_kind_is_refused(store: Path, value: object) -> None:
    with h5py.File(store, "r+") as file:
        file.attrs["schema_version"] = value
    with pytest.raises(StoreError, match=r"^E-STORE .*: expected "):
        read_info(store)
