"""The two services that images come from, on this machine: S3 and NBIA as they answer, with faults when asked for."""

import contextlib
import csv
import hashlib
import io
import json
import math
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom

BUCKET = "idc-open-data"
NBIA = "/nbia-api/services/v1"
COLLECTIONS = {
    "MR": ("prostatex", "PROSTATEx"),
    "CT": ("spie_aapm_lung_ct_challenge", "SPIE-AAPM Lung CT Challenge"),
}
HTML = b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>"


class Archive:
    """The series below a folder of DICOM files, as a bucket, as NBIA's answers and as the offline index."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, bytes] = {}
        self.series: dict[str, dict[str, Any]] = {}
        for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            uid, content = str(ds.SeriesInstanceUID), path.read_bytes()
            row = self.series.setdefault(
                uid,
                {
                    "collection_id": COLLECTIONS[ds.Modality][0], "analysis_result_id": None,
                    "PatientID": ds.PatientID, "StudyInstanceUID": ds.StudyInstanceUID, "SeriesInstanceUID": uid,
                    "source_DOI": "10.0/x", "Modality": ds.Modality, "SeriesDescription": ds.get("SeriesDescription"),
                    "instanceCount": 0, "license_short_name": "CC BY 3.0", "aws_bucket": BUCKET,
                    "crdc_series_uuid": f"{len(self.series):08x}-0000-4000-8000-000000000000", "series_size_MB": 0.0,
                },
            )  # fmt: skip
            row["instanceCount"] += 1
            row["series_size_MB"] += len(content) / 1e6
            self.objects[f"{row['crdc_series_uuid']}/{number:08x}-0000-4000-8000-ffffffffffff.dcm"] = content

    def write_index(self, path: Path, **others: object) -> Path:
        """The index with these series, and one of somebody's segmentations (and ``others`` of its cells)."""
        first = next(iter(self.series.values()))
        made = (
            first | {"SeriesInstanceUID": "1.2.3", "Modality": "SEG", "analysis_result_id": "theirs"} | others
        )
        table = pa.Table.from_pandas(pd.DataFrame([*self.series.values(), made]), preserve_index=False)
        pq.write_table(table.replace_schema_metadata({"idc_index_data_version": "25.0.5-0-gabc"}), path)
        return path

    def of(self, uid: str) -> dict[str, bytes]:
        """The objects of a series."""
        prefix = self.series[uid]["crdc_series_uuid"]
        return {key: content for key, content in self.objects.items() if key.startswith(prefix)}

    def listing(self, prefix: str, token: str, most: int, etags: Callable[[str], str]) -> bytes:
        """ListObjectsV2 (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html)."""
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > token)
        page, rest = keys[:most], keys[most:]
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2023-08-03T12:00:00.000Z</LastModified>"
            f"<ETag>&quot;{etags(self.md5(key))}&quot;</ETag><Size>{len(self.objects[key])}</Size>"
            "<StorageClass>INTELLIGENT_TIERING</StorageClass></Contents>"
            for key in page
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
            f"<Prefix>{escape(quote(prefix))}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<EncodingType>url</EncodingType><IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}{contents}"
            "</ListBucketResult>"
        ).encode()

    def md5(self, key: str) -> str:
        """The MD5 of an object, which is its ETag where it was stored in one piece."""
        return hashlib.md5(self.objects[key]).hexdigest()

    def series_json(self, collection: str) -> bytes:
        """``getSeries``; nothing at all where nothing matches."""
        rows = [
            {
                "SeriesInstanceUID": uid, "StudyInstanceUID": row["StudyInstanceUID"], "Modality": row["Modality"],
                "SeriesDate": "2011-07-07 00:00:00.0", "SeriesDescription": row["SeriesDescription"],
                "BodyPartExamined": "PROSTATE", "SeriesNumber": 4.0, "Collection": collection,
                "PatientID": row["PatientID"], "Manufacturer": "SIEMENS", "ManufacturerModelName": "Skyra",
                "ImageCount": row["instanceCount"], "TimeStamp": "2020-04-08 00:00:00.0",
                "LicenseName": "Creative Commons Attribution 3.0 Unported License",
                "LicenseURI": "http://creativecommons.org/licenses/by/3.0/", "FileSize": 1,
            }
            for uid, row in self.series.items()
            if collection == dict(COLLECTIONS.values())[row["collection_id"]]
        ]  # fmt: skip
        return json.dumps(rows).encode() if rows else b""

    def zipped(self, uid: str, names: dict[str, str], md5s: Callable[[str], str], how: str) -> bytes:
        """``getImageWithMD5Hash``: 00000001.dcm … in the order of the database, then their MD5 in any order."""
        out, rows = io.BytesIO(), []
        contents = list(self.of(uid).values())
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as members:
            for number, content in enumerate(reversed(contents) if how == "turned" else contents, 1):
                name = f"{number:08d}.dcm"
                members.writestr(names.get(name, name), _flipped(content) if how == "wrong" else content)
                rows.append((names.get(name, name), md5s(hashlib.md5(content).hexdigest())))
            if how != "no hashes":
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows([("Filename", "MD5Hash"), *rows[::-1]])
                members.writestr("md5hashes.csv", text.getvalue())
        return out.getvalue()


def _flipped(content: bytes) -> bytes:
    """The same with one bit changed."""
    return content[:-1] + bytes([content[-1] ^ 1])


class Service:
    """An HTTP server for an archive, and what goes wrong there."""

    def __init__(self, archive: Archive) -> None:
        self.archive, self.address = archive, ""
        self.requests: list[str] = []
        self.faults: list[list[Any]] = []
        self.images: float = math.inf
        """How many requests for images are answered; the others wait until ``freed``."""
        self.freed = threading.Event()
        self.page = 1000
        self.names: dict[str, str] = {}
        """Names of files in a zip in place of others."""
        self.etags: Callable[[str], str] = str
        """What is made of an MD5 where it is given."""

    def fail(self, where: str, how: str, times: int = 1, value: Any = None) -> None:
        """Answer the next ``times`` requests whose target has ``where`` in it with a fault."""
        self.faults.append([where, how, times, value])

    def fault(self, target: str) -> tuple[str, Any]:
        """The fault for a request, used up by it."""
        for fault in self.faults:
            if fault[0] in target and fault[2] > 0:
                fault[2] -= 1
                return fault[1], fault[3]
        return "", None


@contextlib.contextmanager
def served(archive: Archive) -> Iterator[Service]:
    """A service that runs as long as the block lasts."""
    service = Service(archive)

    class Handler(_Handler):
        pass

    Handler.service = service
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    service: Service
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        service, archive = self.service, self.service.archive
        service.requests.append(self.path)
        target = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        how, value = service.fault(unquote(self.path))
        if "list-type" not in query and target.path != f"{NBIA}/getSeries":
            service.images -= 1
            if service.images < 0:
                service.freed.wait()
        if how == "status":
            status, headers = value
            body = f"<Error><Code>SlowDown</Code><Message>{status}</Message></Error>".encode()
            self.answer(body, "application/xml", status=status, headers=headers)
        elif how == "html":
            self.answer(HTML, "text/html")
        elif target.path == f"{NBIA}/getSeries":
            self.answer(archive.series_json(query["Collection"]), "application/json", how)
        elif target.path == f"{NBIA}/getImageWithMD5Hash":
            uid = query["SeriesInstanceUID"]
            body = archive.zipped(uid, service.names, service.etags, how)
            self.answer(body, "application/octet-stream", how, chunked=True)
        elif "list-type" in query:
            token, most = (
                query.get("continuation-token", ""),
                min(int(query.get("max-keys", 1000)), service.page),
            )
            body = archive.listing(query["prefix"], token, most, service.etags)
            self.answer(body, "application/xml", how)
        else:
            key = unquote(target.path).removeprefix(f"/{BUCKET}/")
            if key not in archive.objects:
                self.answer(b"<Error><Code>NoSuchKey</Code></Error>", "application/xml", status=404)
            else:
                headers = {"ETag": f'"{service.etags(archive.md5(key))}"'}
                self.answer(archive.objects[key], "application/dicom", how, headers=headers)

    def answer(
        self,
        body: bytes,
        kind: str,
        how: str = "",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> None:
        """Send a body, or what a fault makes of it."""
        if how == "wrong" and not chunked:
            body = _flipped(body)
        if how == "short":
            body = body[:-1]
        if how == "long":
            body += b"more" * 10_000_000
        self.send_response(status)
        for name, text in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, text)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # nobody may be listening any more
            if how == "slow":
                time.sleep(3)
            if how == "cut":
                self.close_connection = True
                self.wfile.write(
                    b"%x\r\n%b" % (len(body), body[: len(body) // 2]) if chunked else body[: len(body) // 2]
                )
                return
            if how == "trickle":
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.01)
            elif chunked:
                self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            else:
                self.wfile.write(body)
