"""Tables: CSV of a user in several dialects, those of the program itself, and workbooks."""

import datetime
import io
import re
import zipfile
from collections.abc import Sequence

import openpyxl

from model.evaluation.predictions import COLUMNS as PREDICTED
from pipeline.datasets.lungx import CALIBRATION_FILE, IMAGE_COLUMN, POSITION_COLUMN, TEST_FILE
from pipeline.files import FINDING_COLUMNS
from workflow.fuzz.formats.zips import packed
from workflow.fuzz.reader import Input

OWN = """image,patient_id,finding_id,label,x,y,z,time
a.png,P1,1,0,3,4,,
"a.png",P1,2,yes,3.5,4,1,0
b.png,P2,1,1,1,2,,
"""
CHEST = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    "00000001_000.png,Cardiomegaly|Effusion,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
)
SPLITS = "patient_id,group_id,finding_id,label,split,views\n0001,0001,1,0,train,3\n0002,0002,1,1,test,3\n"
HEADER = ("Scan Number", "Nodule Number", POSITION_COLUMN, IMAGE_COLUMN)
DAY = datetime.datetime(2020, 1, 1)
PLAIN = (
    ("CT-1", 1, "120, 325", 20, "primary lung cancer"),
    ("CT-2", 2, "12, 35", 7.0, "benign"),
    (None, None, None, None, None),
    ("* counted from 1", None, None, None, None),
)
KINDS = (("CT-3", 1.5, "1,2", "=1+1", True), ("CT-4", DAY, "3, 4", 5, "#N/A"))
CLOCK = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def inputs() -> list[Input]:
    """One table of each kind; the name says which."""
    findings = [["1"] * len(FINDING_COLUMNS)] * 2
    predicted = ["mine,test,P1,1,0,1,0.25", "mine,test,P1,1,1,1,0.75"]
    texts = {
        "own.csv": OWN,
        "semicolon.csv": OWN.replace(",", ";").replace("3.5", "3,5"),
        "tab.csv": "\ufeff" + OWN.replace(",", "\t").replace("\n", "\r\n"),
        "chest.csv": CHEST,
        "splits.csv": SPLITS,
        "findings.csv": "\n".join(map(",".join, [list(FINDING_COLUMNS), *findings])) + "\n",
        "predictions.csv": "\n".join([",".join(PREDICTED), *predicted]) + "\n",
    }
    return [Input(name, text.encode()) for name, text in texts.items()]


def workbooks() -> list[Input]:
    """Workbooks like the published two of LUNGx, one with more kinds of cells; each beside another."""
    plain, kinds = _book("Diagnosis", PLAIN), _book("Diagnosis", KINDS)
    test = _book("Final Diagnosis", PLAIN)
    return [
        Input(CALIBRATION_FILE, plain, {TEST_FILE: test}),
        Input(CALIBRATION_FILE, kinds, {TEST_FILE: test}),
        Input(TEST_FILE, test, {CALIBRATION_FILE: plain}),
    ]


def _book(diagnosis: str, rows: Sequence[tuple[object, ...]]) -> bytes:
    """A workbook with no clock in it: openpyxl writes that of now."""
    book = openpyxl.Workbook()
    for row in ((*HEADER, diagnosis), *rows):
        book.active.append(row)
    book.create_sheet("second").append(["x"])
    file = io.BytesIO()
    book.save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return packed(
        {name: re.sub(CLOCK, b"2020-01-01T00:00:00Z", content) for name, content in members.items()}
    )
