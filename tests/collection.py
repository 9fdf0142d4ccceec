"""PROSTATEx downloads of a few small planes, for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from pipeline.datasets import Findings, Source, prostatex
from pipeline.files import write_csv
from pipeline.phantom import Geometry, write_mr_series
from pipeline.readers import index
from pipeline.readers.pixels import read_pixels

PLANES = 9
T2, ADC, HIGH_B, MULTI_B = (
    "t2_tse_tra",
    "ep2d_diff_tra_DYNDIST_ADC",
    "ep2d_diff_tra_DYNDISTCALC_BVAL",
    "ep2d_diff_tra_DYNDIST",
)
IMAGES = ("ProxID", "Name", "fid", "pos", "WorldMatrix", "ijk", "TopLevel", "DCMSerDescr", "DCMSerNum")
CORONAL = {"row": (1.0, 0.0, 0.0), "column": (0.0, 0.0, -1.0)}


class Collection:
    """Synthetic patients and the two official tables in a raw folder.

    A series has planes of 12 × 10 pixels, 3 mm apart from z = 0 upwards, 2 mm pixels from (0, 0). Each pixel
    of a plane has the value 100 · series number + plane.
    """

    def __init__(self, raw: Path) -> None:
        self.raw = raw
        self.findings: list[tuple[str, str, str, str]] = []
        self.images: list[dict[str, object]] = []

    def series(
        self,
        description: str,
        number: int,
        *,
        patient: str = "ProstateX-0000",
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        axes: dict[str, Any] | None = None,
        drop: Sequence[int] = (),
        b_values: Sequence[int] | None = None,
        study: str = "",
        series: str = "",
        **options: Any,
    ) -> None:
        """Write a series; without the planes ``drop``."""
        if b_values is None and description != T2:
            b_values = {ADC: (800,), HIGH_B: (1400,), MULTI_B: (50, 400, 800)}.get(description)
        volume = np.broadcast_to(100 * number + np.arange(PLANES)[:, None, None], (PLANES, 10, 12))
        if b_values is not None:
            volume = np.stack([volume + 1000 * i for i in range(len(b_values))])
        grid = Geometry(origin, spacing=(2.0, 2.0), slice_spacing=3.0, **(axes or {}))
        paths = write_mr_series(
            self.raw / patient / f"{study}{number}{series}", volume, grid, description=description,
            number=number, patient_id=patient, b_values=b_values, study=study, series=series, **options,
        )  # fmt: skip
        for path in paths:
            if (int(pydicom.dcmread(path).pixel_array[0, 0]) - 100 * number) % 1000 in drop:
                path.unlink()

    def finding(
        self,
        pos: str,
        fid: str = "1",
        significant: str = "TRUE",
        *,
        patient: str = "ProstateX-0000",
        ijk: dict[tuple[str, int], str] | None = None,
    ) -> None:
        """A row of the findings table, and rows of the images table for these (description, number)."""
        self.findings.append((patient, fid, pos, significant))
        for (description, number), index_ in (ijk or {}).items():
            self.images.append(
                {"ProxID": patient, "Name": f"{description}0", "fid": fid, "pos": pos, "ijk": index_,
                 "WorldMatrix": "1,0,0,0", "TopLevel": "NA", "DCMSerDescr": description, "DCMSerNum": number}
            )  # fmt: skip

    def find(self, channels: Sequence[str] = ("dwi",), slice_rule: str = "geometry") -> Findings:
        """Index and locate as the workflow does."""
        columns = ("ProxID", "fid", "pos", "zone", "ClinSig")
        rows = [(patient, fid, pos, "PZ", label) for patient, fid, pos, label in self.findings]
        text = "".join(",".join(row) + "\r\n" for row in [columns, *rows])
        (self.raw / prostatex.FINDINGS_FILE).write_bytes(text.encode())
        write_csv(self.raw / prostatex.IMAGES_FILE, IMAGES, self.images)
        table, _, documents, errors = index.build(
            self.raw, *index._previous(self.raw / "no", self.raw / "no"), processes=1
        )
        assert not [error for error in errors if error.code != "E-DCM-NOTIMAGE"]
        source = Source("prostatex", self.raw, table, sorted(documents))
        return prostatex.find(source, prostatex.Options(channels=list(channels), slice_rule=slice_rule))

    def value(self, row: dict[str, Any]) -> float:
        """100 · series number + plane of the slice that a row of findings.csv names."""
        return float(read_pixels(self.raw / row["file"]).values[0, 0])


def codes(found: Findings) -> list[tuple[str, str, str]]:
    return [(row["patient_id"], row["finding_id"], row["code"]) for row in found.skipped]
