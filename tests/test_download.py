"""Downloads from both services, over real HTTP on this machine, with everything going wrong that does go wrong."""

import datetime
import email.utils
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import urllib3

from pipeline.datasets import prostatex
from pipeline.download import choice, http, manifest
from pipeline.download import idc as buckets
from pipeline.download.choice import Series, choose, offline_index
from pipeline.download.http import PassingError, Patience, again
from pipeline.download.images import ImageService, download, main, service
from pipeline.download.manifest import Entry
from pipeline.errors import ConfigError, DiskError, NetError, StoreError
from pipeline.files import read_csv, sha256
from pipeline.phantom import Geometry, write_ct_series, write_mr_series
from pipeline.provenance import ROOT
from tests.services import NBIA, Archive, Service, served

QUICK = Patience(tries=3, pause_s=0.01, timeout_s=2, longest_s=2)
PLANES = 4
T2, ADC, HIGH_B, MULTI_B, SAGITTAL = (
    "t2_tse_tra", "ep2d_diff_tra_DYNDIST_ADC", "ep2d_diff_tra_DYNDISTCALC_BVAL", "ep2d_diff_tra_DYNDIST",
    "t2_tse_sag",
)  # fmt: skip
SERIES, FILES = 6, 24
"""What is needed: T2, ADC and high b of one patient; T2, ADC and the measured diffusion of another."""


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell lets what it runs in the background ignore Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    grid = Geometry((0.0, 0.0, 0.0), spacing=(2.0, 2.0), slice_spacing=3.0)
    named = {"0000": (T2, ADC, HIGH_B, MULTI_B, SAGITTAL), "0001": (T2, ADC, MULTI_B, SAGITTAL)}
    for patient, descriptions in named.items():
        for number, description in enumerate(descriptions, 3):
            volume = np.full((PLANES, 10, 12), 100 * number) + np.arange(PLANES)[:, None, None]
            write_mr_series(
                folder / patient / str(number), volume, grid,
                description=description, number=number, patient_id=f"ProstateX-{patient}",
            )  # fmt: skip
    write_ct_series(folder / "ct", np.full((PLANES, 10, 12), -500.0), grid, patient_id="LUNGx-CT001")
    return Archive(folder)


@pytest.fixture(scope="session")
def small_index(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive.write_index(tmp_path_factory.mktemp("index") / "idc_index.parquet")


@pytest.fixture
def server(archive: Archive) -> Iterator[Service]:
    with served(archive) as running:
        yield running


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


class Downloads:
    """The small collection from one of the services."""

    def __init__(self, source: str, server: Service, small_index: Path, raw: Path) -> None:
        self.source, self.server, self.raw = source, server, raw
        self.wanted = choose("prostatex", "needed", small_index)
        self.address = server.address + (NBIA if source == "nbia" else "")
        self.one = "ffffffffffff.dcm" if source == "idc" else "getImageWithMD5Hash"
        """What only requests for contents have in their target."""

    def __call__(self, patience: Patience = QUICK) -> int:
        return download(self.wanted, self.raw, partial(self.connect, patience), 4)

    def name(self, series: Series) -> str:
        """What only requests for that series have in their target."""
        return series.prefix if self.source == "idc" else series.uid

    def connect(self, patience: Patience = QUICK) -> ImageService:
        return service(self.source, self.address, "prostatex", self.raw, patience)


@pytest.fixture(params=["idc", "nbia"])
def get(request: pytest.FixtureRequest, server: Service, small_index: Path, raw: Path) -> Downloads:
    return Downloads(request.param, server, small_index, raw)


@pytest.fixture
def idc(server: Service, small_index: Path, raw: Path) -> Downloads:
    return Downloads("idc", server, small_index, raw)


@pytest.fixture
def nbia(server: Service, small_index: Path, raw: Path) -> Downloads:
    return Downloads("nbia", server, small_index, raw)


def contents(raw: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {path.relative_to(raw).as_posix(): path.read_bytes() for path in raw.rglob("*") if path.is_file()}


def finished(raw: Path) -> list[Path]:
    """The files that a download has come to so far."""
    # Folders of parts come and go.
    return [Path(folder, name) for folder, _, names in os.walk(raw) for name in names
            if name.endswith(".dcm") and ".part" not in Path(folder).parts]  # fmt: skip


def assert_whole(get: Downloads) -> None:
    """All that is needed is there byte for byte, nothing else, and the manifest says so."""
    found = contents(get.raw)
    del found[manifest.NAME]
    expected = [content for series in get.wanted for content in get.server.archive.of(series.uid).values()]
    assert len(found) == FILES
    assert sorted(found.values()) == sorted(expected)
    table = read_csv(get.raw / manifest.NAME)
    assert table["file"].tolist() == sorted(found)
    assert all(manifest.holds(get.raw, entry) for entry in manifest.read(get.raw).values())


class TestChoice:
    def test_t2_adc_and_high_b_are_needed_and_measured_diffusion_only_without_high_b(self) -> None:
        assert prostatex.needed([T2, SAGITTAL, ADC, HIGH_B, MULTI_B, "tfl_3d PD ref"]) == [
            True, False, True, True, False, False,
        ]  # fmt: skip
        assert prostatex.needed([T2, ADC, MULTI_B, "ep2d-advdiff-MDDW_FA"]) == [True, True, True, False]

    def test_dynamic_series_of_another_study_bring_nothing(self) -> None:
        assert prostatex.needed(["tfl_dyn_fast_tra_1.5x1.5_t3.5sec"] * 2) == [False, False]

    def test_series_come_from_the_index_without_what_others_made_of_them(self, small_index: Path) -> None:
        chosen = choose("prostatex", "needed", small_index)
        assert {(one.patient_id, one.description) for one in chosen} == {
            ("ProstateX-0000", T2), ("ProstateX-0000", ADC), ("ProstateX-0000", HIGH_B),
            ("ProstateX-0001", T2), ("ProstateX-0001", ADC), ("ProstateX-0001", MULTI_B),
        }  # fmt: skip
        assert (len(chosen), sum(one.files for one in chosen)) == (SERIES, FILES)
        assert len(choose("prostatex", "all", small_index)) == 9
        assert [one.patient_id for one in choose("lungx", "needed", small_index)] == ["LUNGx-CT001"]

    def test_the_real_index_has_as_much_as_the_page_says(self) -> None:
        found = {
            (kind, which): (len(chosen), sum(one.files for one in chosen), sum(one.size for one in chosen))
            for kind, which in (("prostatex", "needed"), ("prostatex", "all"), ("lungx", "needed"))
            if (chosen := choose(kind, which, offline_index()))
        }
        assert choice.version(offline_index()) == "25.0.5"
        assert found == {
            ("prostatex", "needed"): (1139, 22_717, 2_946_207_894),
            ("prostatex", "all"): (18_321, 309_251, 16_176_686_944),
            ("lungx", "needed"): (70, 22_489, 12_065_083_140),
        }

    def test_each_patient_of_the_real_index_gets_all_three_channels(self) -> None:
        kinds: dict[str, set[str]] = {}
        for one in choose("prostatex", "needed", offline_index()):
            role = next(
                (name for name, what in prostatex.DESCRIPTIONS.items() if what.search(one.description)), "dwi"
            )
            kinds.setdefault(one.patient_id, set()).add(role)
        assert len(kinds) == 346
        assert {frozenset(roles) for roles in kinds.values()} == {frozenset({"t2", "adc", "dwi"})}

    def test_every_row_of_the_official_tables_that_names_such_a_series_gets_it(self, shared: Path) -> None:
        series = read_csv(shared / "idc" / "prostatex.csv")
        needed = {one.uid for one in choose("prostatex", "needed", offline_index())}
        assert needed <= set(series["SeriesInstanceUID"])
        key = ["PatientID", "SeriesNumber", "SeriesDescription"]
        fetched = set(
            series[series["SeriesInstanceUID"].isin(needed)][key].itertuples(index=False, name=None)
        )
        rows = []
        for part in ("Train", "Test"):
            table = read_csv(shared / "prostatex" / f"ProstateX-Images-{part}.csv")
            for row in table[["ProxID", "DCMSerNum", "DCMSerDescr"]].itertuples(index=False, name=None):
                rows += [row] if any(what.search(row[2]) for what in prostatex.DESCRIPTIONS.values()) else []
        assert len(rows) == 1725
        assert set(rows) - fetched == set()

    def test_files_of_a_real_patient_are_as_many_and_as_large_as_the_index_says(self, shared: Path) -> None:
        folders = {"4.000000-t2tsetra-00702", "7.000000-ep2ddifftraDYNDISTADC-48780",
                   "8.000000-ep2ddifftraDYNDISTCALCBVAL-83202"}  # fmt: skip
        study = shared / "prostatex" / "ProstateX-0000" / "07-07-2011"
        here = sorted(
            (len(files := list((study / name).iterdir())), sum(file.stat().st_size for file in files))
            for name in folders
        )
        series = choose("prostatex", "needed", offline_index())
        assert here == sorted((one.files, one.size) for one in series if one.patient_id == "ProstateX-0000")

    def test_an_index_that_is_none_or_lacks_the_collection_is_one_line(
        self, small_index: Path, tmp_path: Path
    ) -> None:
        text = tmp_path / "index.csv"
        text.write_text("PatientID,SeriesInstanceUID\n")
        other = tmp_path / "other.parquet"
        pd.DataFrame({"PatientID": ["1"]}).to_parquet(other)
        for path in (text, other, tmp_path / "nowhere.parquet"):
            with pytest.raises(ConfigError, match="expected an index of the Imaging Data Commons, found"):
                choose("prostatex", "all", path)
        elsewhere = pd.read_parquet(small_index)
        elsewhere[elsewhere["Modality"] == "CT"].to_parquet(other)
        with pytest.raises(ConfigError, match="expected series of prostatex, found none"):
            choose("prostatex", "needed", other)

    @pytest.mark.parametrize("name", ["../../etc", "a/b", "", ".hidden", "a" * 300, "nul", "line\nbreak"])
    def test_a_name_that_is_none_goes_no_further(self, archive: Archive, tmp_path: Path, name: str) -> None:
        path = archive.write_index(
            tmp_path / "index.parquet", PatientID=name, Modality="MR", analysis_result_id=None
        )
        odd = [one for one in choose("prostatex", "all", path) if one.patient_id == name]
        with pytest.raises(NetError, match="expected a plain name"):
            _ = odd[0].folder


class TestBothServices:
    def test_all_that_is_needed_comes_whole_with_a_manifest(self, get: Downloads) -> None:
        assert get() == SERIES
        assert_whole(get)
        folders = {Path(file).parent.as_posix() for file in contents(get.raw)} - {"."}
        assert folders == {f"{series.patient_id}/{series.uid}" for series in get.wanted}

    def test_a_second_time_nothing_is_asked_for_and_nothing_touched(self, get: Downloads) -> None:
        get()
        before = {path: path.stat().st_mtime_ns for path in get.raw.rglob("*")}
        get.server.requests.clear()
        assert get() == 0
        assert get.server.requests == []
        assert {path: path.stat().st_mtime_ns for path in get.raw.rglob("*")} == before

    def test_what_the_user_put_there_stays(self, get: Downloads) -> None:
        own = get.raw / "ProstateX-Findings-Train.csv"
        own.parent.mkdir(parents=True)
        own.write_text("mine")
        get()
        assert own.read_text() == "mine"

    @pytest.mark.parametrize("damage", ["truncated", "swapped", "removed"])
    def test_a_damaged_file_is_fetched_again_and_the_others_stay(self, get: Downloads, damage: str) -> None:
        get()
        victim, other, *rest = sorted(get.raw.rglob("*.dcm"))
        if damage == "truncated":
            victim.write_bytes(victim.read_bytes()[:-10])
        elif damage == "swapped":
            victim.write_bytes(other.read_bytes())
        else:
            victim.unlink()
        before = {path: path.stat().st_mtime_ns for path in [other, *rest]}
        get.server.requests.clear()
        assert get() == 1
        assert_whole(get)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert len([target for target in get.server.requests if get.one in target]) == 1

    def test_a_series_of_other_bytes_than_the_index_says_is_looked_at_again(self, get: Downloads) -> None:
        get()
        first = manifest.read(get.raw)
        victim = get.raw / min(first)
        victim.write_bytes(b"short")
        entry = manifest.Entry(min(first), 5, sha256(victim), first[min(first)].series_uid)
        manifest.write(get.raw, (first | {entry.file: entry}).values(), whole=True)
        assert get() == 1
        assert_whole(get)

    @pytest.mark.parametrize("how", ["cut", "wrong", "long", "slow", "html"])
    def test_what_fails_once_is_tried_again(self, get: Downloads, how: str) -> None:
        get.server.fail(get.one, how)
        get()
        assert_whole(get)
        requests = [target for target in get.server.requests if get.one in target]
        assert len(requests) == len(set(requests)) + 1

    @pytest.mark.parametrize("how", ["cut", "wrong", "html"])
    def test_what_always_fails_is_one_line_and_nothing_half_is_left(self, get: Downloads, how: str) -> None:
        get.server.fail(get.one, how, times=99)
        with pytest.raises(
            NetError, match=r"^E-NET http://127.*found .*; run again: complete files are kept$"
        ):
            get(Patience(tries=2, pause_s=0.01, timeout_s=0.2))
        assert list(contents(get.raw)) == [manifest.UNFINISHED]
        get.server.faults.clear()
        get()
        assert_whole(get)

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_busy_service_is_asked_again_when_it_said(self, get: Downloads, status: int) -> None:
        get.server.fail(get.one, "status", times=1, value=(status, {"Retry-After": "1"}))
        start = time.monotonic()
        get()
        assert time.monotonic() - start >= 1
        assert_whole(get)

    @pytest.mark.parametrize(
        ("after", "found"),
        [
            (datetime.timedelta(hours=2), r", retry after 7\d\d\d s"),
            ("Fri, 31 Dec 1999 23:59:59 GMT", ", retry after 0 s"),
            ("soon", r" \(and"),
            ("-1", r" \(and"),
        ],
        ids=["in two hours", "long ago", "a word", "negative"],  # all processes collect the same names
    )
    def test_a_service_says_how_long_it_is_busy_in_seconds_or_by_a_date(
        self, get: Downloads, after: str | datetime.timedelta, found: str
    ) -> None:
        if isinstance(after, datetime.timedelta):  # from now on, not from when tests were collected
            after = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + after)
        for series in get.wanted:
            get.server.fail(get.name(series), "status", times=99, value=(503, {"Retry-After": after}))
        with pytest.raises(NetError, match=f"found HTTP 503{found}"):
            get()

    def test_a_service_that_asks_to_wait_for_hours_is_not_waited_for(self, get: Downloads) -> None:
        get.server.fail(get.one, "status", times=99, value=(503, {"Retry-After": "7200"}))
        with pytest.raises(NetError, match="HTTP 503, retry after 7200 s"):
            get()

    def test_a_refusal_is_not_repeated(self, get: Downloads) -> None:
        get.wanted = get.wanted[:1]
        get.server.fail(get.one, "status", times=99, value=(403, {}))
        with pytest.raises(NetError, match="HTTP 403"):
            get()
        assert len([target for target in get.server.requests if get.one in target]) == 1

    def test_refused_series_do_not_keep_the_others_from_coming(self, get: Downloads) -> None:
        refused = get.wanted[:2]
        for series in refused:
            get.server.fail(get.name(series), "status", times=99, value=(404, {}))
        with pytest.raises(NetError, match=r"found HTTP 404 \(and 1 more series that failed\); run again"):
            get()
        assert len(finished(get.raw)) == FILES - sum(series.files for series in refused)
        assert {entry.series_uid for entry in manifest.read(get.raw).values()} == {
            series.uid for series in get.wanted[2:]
        }
        assert [(get.raw / name).exists() for name in (manifest.NAME, manifest.UNFINISHED)] == [False, True]
        get.server.faults.clear()
        assert get() == 2
        assert_whole(get)

    @pytest.mark.parametrize("status", [301, 302, 307])
    def test_nobody_sends_us_to_another_host(self, get: Downloads, archive: Archive, status: int) -> None:
        with served(archive) as other:
            away = {"Location": other.address.replace("127.0.0.1", "localhost") + "/x"}
            get.server.fail("", "status", times=99, value=(status, away))
            with pytest.raises(NetError, match=f"HTTP {status}, a redirect to http://localhost:"):
                get()
            assert other.requests == []

    def test_no_service_is_one_line(self, get: Downloads) -> None:
        get.address = "http://127.0.0.1:9" + (NBIA if get.source == "nbia" else "")
        with pytest.raises(NetError, match=r"^E-NET http://127\.0\.0\.1:9"):
            get()

    @pytest.mark.parametrize("address", ["ftp://example.org", "file:///etc/passwd", "https://"])
    def test_only_web_addresses_are_asked(self, get: Downloads, address: str) -> None:
        get.address = address
        with pytest.raises(ConfigError, match="expected an address with https://"):
            get()

    def test_more_than_the_disk_holds_is_not_begun(self, get: Downloads) -> None:
        first = get.wanted[0]
        get.wanted[0] = type(first)(**vars(first) | {"size": 10**18})
        with pytest.raises(
            DiskError, match=r"^E-DISK .*expected 1,000,000,000,000,0[0-9,]+ bytes of room, found .* free"
        ):
            get()
        assert get.server.requests == []
        assert not get.raw.exists()

    @pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
    def test_an_interrupted_download_goes_on_and_ends_with_the_same_bytes(
        self, get: Downloads, small_index: Path, tmp_path: Path, blow: signal.Signals
    ) -> None:
        get.server.images = {"idc": PLANES + 2, "nbia": 2}[get.source]
        words = ["prostatex", "--out", str(get.raw), "--source", get.source, "--endpoint", get.address,
                 "--index", str(small_index), "--connections", "2"]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.download.images", *words],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            limit = time.monotonic() + 60
            while len(finished(get.raw)) < PLANES:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < limit
                time.sleep(0.005)
            process.send_signal(blow)
            process.communicate()
        assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[blow]
        assert PLANES <= len(finished(get.raw)) < FILES
        assert (get.raw / manifest.UNFINISHED).exists()
        get.server.images = math.inf
        get.server.freed.set()
        get.server.requests.clear()
        main(words)
        assert_whole(get)
        undisturbed = get.raw.rename(tmp_path / "killed")
        get()
        assert contents(get.raw) == contents(undisturbed)

    def test_a_full_disk_on_the_way_leaves_what_was_there(self, get: Downloads) -> None:
        get()
        victim = min(get.raw.rglob("*.dcm"))
        victim.write_bytes(b"swapped")
        files = {"idc": victim.with_name(f".{victim.name}.part"),
                 "nbia": get.raw / ".part" / f".{victim.parent.name}.zip.part"}  # fmt: skip

        def connect() -> ImageService:
            there = get.connect()
            files[get.source].parent.mkdir(exist_ok=True)
            # Writing to /dev/full fails as writing to a full disk does.
            files[get.source].symlink_to("/dev/full")
            return there

        with pytest.raises(OSError, match="No space left"):
            download(get.wanted, get.raw, connect, 4)
        assert victim.read_bytes() == b"swapped"
        get()
        assert_whole(get)


class TestIdc:
    def test_a_long_series_is_listed_page_by_page(self, idc: Downloads) -> None:
        idc.server.page = 3
        idc()
        assert_whole(idc)
        assert [target for target in idc.server.requests if "continuation-token" in target]

    def test_at_amazon_a_bucket_is_a_host_of_its_own(
        self, idc: Downloads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def read(url: str, *_: object, **__: object) -> bytes:
            asked.append(url)
            return b"<ListBucketResult/>"

        monkeypatch.setattr(buckets, "read", read)
        idc.address = buckets.ENDPOINT
        with pytest.raises(NetError, match=r"found 0 files of 0 bytes \(and 5 more series that failed\)"):
            idc()
        assert set(asked) == {"https://idc-open-data.s3.us-east-1.amazonaws.com"}

    def test_what_an_interrupted_download_left_whole_is_kept_by_its_md5(self, idc: Downloads) -> None:
        idc()
        (idc.raw / manifest.NAME).unlink()
        idc.server.requests.clear()
        assert idc() == SERIES
        assert [target for target in idc.server.requests if idc.one in target] == []
        assert_whole(idc)

    def test_an_object_in_parts_has_no_md5_and_is_fetched_unless_the_manifest_knows_it(
        self, idc: Downloads
    ) -> None:
        idc.server.etags = lambda md5: f"{md5}-2"
        idc()
        assert_whole(idc)
        idc.server.requests.clear()
        (idc.raw / manifest.NAME).unlink()
        idc()
        assert len([target for target in idc.server.requests if idc.one in target]) == FILES
        assert_whole(idc)

    @pytest.mark.parametrize(("key", "value"), [("files", 5), ("size", 1)])
    def test_a_series_that_is_not_that_of_the_index_is_refused(
        self, idc: Downloads, key: str, value: int
    ) -> None:
        first = idc.wanted[0]
        idc.wanted = [type(first)(**vars(first) | {key: value})]
        with pytest.raises(
            NetError, match=r"expected . files of [\d,]+ bytes, as in the index, found 4 files"
        ):
            idc()

    def test_an_object_without_an_md5_that_is_shorter_than_was_listed_is_tried_again(
        self, idc: Downloads
    ) -> None:
        idc.server.etags = lambda md5: f"{md5}-2"
        idc.server.fail(idc.one, "short")
        idc()
        assert_whole(idc)

    def test_bytes_that_trickle_in_are_not_waited_for(self, idc: Downloads) -> None:
        idc.wanted = idc.wanted[:1]
        idc.server.fail(idc.one, "trickle", times=99)
        with pytest.raises(NetError, match=r"expected [\d,]+ bytes, found [\d,]+ after \d s"):
            idc(Patience(tries=1, timeout_s=0.3))

    def test_a_service_that_is_not_there_is_told_by_the_reason_alone(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "typhon")
        url = "http://127.0.0.1:9/x"  # the discard port: nobody listens
        with pytest.raises(NetError) as caught:
            again(lambda: http.read(url, {}, most=1, patience=QUICK), Patience(tries=2, pause_s=0.01))
        assert str(caught.value) == (
            f"E-NET {url}: found ConnectionRefusedError: [Errno 111] Connection refused; "
            "run again: complete files are kept"
        )
        assert [record.getMessage()[:6] for record in caplog.records] == ["Trying"]

    def test_a_listing_that_is_no_listing_is_one_line(self, idc: Downloads) -> None:
        idc.server.fail("list-type", "html", times=99)
        with pytest.raises(NetError, match=r"^E-NET http"):
            idc()

    def test_a_fault_below_the_client_in_the_middle_of_an_object_is_tried_again(
        self, idc: Downloads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults = [urllib3.exceptions.SSLError("record layer failure")]
        read = urllib3.HTTPResponse.read

        def broken(body: urllib3.HTTPResponse, amount: int) -> bytes:
            if faults and "ETag" in body.headers:
                raise faults.pop()
            return read(body, amount)

        monkeypatch.setattr(urllib3.HTTPResponse, "read", broken)
        idc()
        assert_whole(idc)


class TestNbia:
    def test_a_series_of_other_bytes_than_the_index_says_is_refused(self, nbia: Downloads) -> None:
        first = nbia.wanted[0]
        nbia.wanted = [type(first)(**vars(first) | {"size": first.size + 1})]
        with pytest.raises(NetError, match=f"expected {first.size + 1:,} bytes, as in the index, found"):
            nbia()
        assert not finished(nbia.raw)

    def test_the_order_of_the_archive_does_not_matter(self, nbia: Downloads, tmp_path: Path) -> None:
        nbia()
        straight = nbia.raw.rename(tmp_path / "straight")
        nbia.server.fail("MD5", "turned", times=99)
        nbia()
        assert contents(nbia.raw) == contents(straight)

    def test_files_of_another_series_are_refused(
        self, nbia: Downloads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, other, *_ = nbia.wanted
        nbia.wanted = [type(first)(**vars(first) | {"size": other.size})]
        theirs = nbia.server.archive.of(other.uid)
        monkeypatch.setattr(nbia.server.archive, "of", lambda _: theirs)
        with pytest.raises(NetError, match=f"expected series {first.uid}, found series {other.uid}"):
            nbia()
        assert not finished(nbia.raw)

    def test_one_image_under_several_names_is_no_series(
        self, nbia: Downloads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = nbia.wanted[0]
        content = next(iter(nbia.server.archive.of(first.uid).values()))
        nbia.wanted = [type(first)(**vars(first) | {"size": PLANES * len(content)})]
        monkeypatch.setattr(nbia.server.archive, "of", lambda _: dict.fromkeys("abcd", content))
        with pytest.raises(NetError, match="found repeated SOP Instance UIDs"):
            nbia()

    def test_a_zip_that_climbs_out_of_its_folder_is_refused(self, nbia: Downloads, tmp_path: Path) -> None:
        nbia.server.names = {"00000002.dcm": "../../../escaped.dcm"}
        with pytest.raises(NetError, match="E-ZIP-NAME"):
            nbia()
        assert not list(tmp_path.rglob("*escaped*"))

    def test_a_zip_whose_server_ran_into_trouble_is_not_whole(self, nbia: Downloads) -> None:
        nbia.server.fail("MD5", "no hashes", times=99)
        with pytest.raises(NetError, match=r"expected 4 files with an MD5, found 0"):
            nbia()

    def test_old_digests_without_their_leading_zeros_are_understood(self, nbia: Downloads) -> None:
        assert any(nbia.server.archive.md5(key).startswith("0") for key in nbia.server.archive.objects)
        nbia.server.etags = lambda md5: md5.lstrip("0").upper()
        nbia()
        assert_whole(nbia)

    def test_a_collection_that_is_not_there_any_more_is_one_line(self, nbia: Downloads) -> None:
        nbia.server.archive = Archive(nbia.raw)
        with pytest.raises(
            NetError, match=r"expected 4 files of series .*, found 0 \(and 5 more series that failed\); fetch"
        ):
            nbia()


def test_switching_the_service_keeps_what_is_there(idc: Downloads, small_index: Path) -> None:
    idc()
    other = Downloads("nbia", idc.server, small_index, idc.raw)
    assert other() == 0


def test_a_manifest_of_somebody_else_is_not_written_over(idc: Downloads) -> None:
    idc.raw.mkdir()
    (idc.raw / manifest.NAME).write_text("Subject ID,Series UID\n1,2\n")
    with pytest.raises(StoreError, match=r"E-STORE .*manifest.csv: expected file, size, sha256, series_uid"):
        idc()


def test_the_command_says_what_it_does_and_that_there_is_nothing_to_do(
    idc: Downloads, small_index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["prostatex", "--out", str(idc.raw), "--endpoint", idc.address, "--index", str(small_index)]
    with caplog.at_level("INFO", "typhon"):
        main(words)
        main(words)
    assert "6 series, 24 files by index 25.0.5" in caplog.text
    assert "6 series fetched; all 6 series, 24 files are there and right" in caplog.text
    assert "nothing to do; all 6 series, 24 files are there and right" in caplog.text


@pytest.mark.parametrize(("error", "more"), [(PassingError, 2), (NetError, 52)])
def test_a_service_that_is_down_is_not_asked_for_every_series_and_one_that_refuses_is(
    idc: Downloads, error: type[NetError], more: int
) -> None:
    asked = []

    class Failing:
        def fetch(self, series: Series, raw: Path, right: Mapping[str, Entry]) -> list[Entry]:
            assert (raw, right) == (idc.raw, {})
            asked.append(series)
            if len(asked) == 2:
                return []
            time.sleep(0.05)
            raise error("nothing", file=series.uid)

    series = [type(one)(**vars(one) | {"uid": f"1.{n}"}) for one in idc.wanted for n in range(9)]
    with pytest.raises(NetError, match=rf"found nothing \(and {more} more series that failed\)"):
        download(series, idc.raw, Failing, 1)
