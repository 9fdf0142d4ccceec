"""What two findings may share that a result must not rest on: patients, images, near-duplicate images.

Within a data set, across its splits, and across the data sets of an experiment. Images are the slices of
slices.h5: the same bytes are an exact duplicate, perceptual hashes within a few bits a near one.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.classes import label_columns
from pipeline.files import read_csv
from pipeline.pool import parallel
from pipeline.slice_store import read_slice
from pipeline.splits.duplicates import THRESHOLD, near_pairs, phash
from pipeline.splits.leakage import leaks
from pipeline.splits.people import crowd, person, persons, remarks, spellings, unknown
from pipeline.splits.split import SPLITS, read_splits
from pipeline.verify.checks import FAILED, KEY, NONE, OK, WARNING, Check, named

CHUNK = 64


@dataclass(frozen=True)
class DataFolder:
    """A data set of the experiment, by its folder: who is in which split, and its images.

    ``folds`` has a split table per fold; ``images`` a row per slice with patient_id, group_id, finding_id,
    channel, label, study_uid, source (its DICOM series or file), digest and hash. Data sets of one name in
    ``people`` have the same people.
    """

    name: str
    folder: Path
    folds: tuple[pd.DataFrame, ...]
    images: pd.DataFrame
    people: str = ""


def _image(number: int, slices: Path) -> tuple[str, int] | None:
    source = read_slice(slices, number)
    if source is None:
        return None
    return hashlib.sha256(source.pixels.tobytes()).hexdigest(), phash(source.pixels)


def read_folder(
    folder: Path, folds: int | None = None, people: str = "", *, processes: int = 1
) -> DataFolder:
    """Read a data set's folder; its first ``folds`` split tables, or all that are there."""
    tables = sorted(folder.glob("splits/fold*.csv"), key=lambda path: (len(path.name), path.name))
    findings = read_csv(folder / "findings.csv")
    work = functools.partial(_image, slices=folder / "slices.h5")
    found = list(
        parallel(work, range(len(findings)), processes=processes, label="hashing slices", chunk=CHUNK)
    )
    kept = [number for number, image in enumerate(found) if image is not None]
    columns = label_columns(findings)
    labels = findings[columns].agg(" ".join, axis=1) if columns else ""
    series = findings["series_uid"]
    images = findings.assign(label=labels, source=series.where(series != "", findings["file"])).iloc[kept]
    images = images[[*KEY, "group_id", "channel", "label", "study_uid", "source"]].assign(
        digest=[image[0] for image in found if image],
        hash=np.array([image[1] for image in found if image], "u8"),
    )
    return DataFolder(folder.name, folder, tuple(map(read_splits, tables[:folds])), images, people)


def _split_of(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    used = table[table["split"].isin(SPLITS)]
    return {(row.patient_id, row.finding_id): row.split for row in used.itertuples()}


def _splits_of(table: pd.DataFrame) -> dict[str, set[str]]:
    """The splits of each person; published ones cut patients."""
    used = table[table["split"].isin(SPLITS)]
    by_person = used["split"].groupby(persons(used["patient_id"]))
    return {who: set(splits) for who, splits in by_person}


def _cases(images: pd.DataFrame) -> list[tuple[str, str]]:
    return list(images[KEY].itertuples(index=False, name=None))


def identity(findings: pd.DataFrame) -> Check:
    """Who is who: ids that are spellings of one person, and findings whose patient nobody knows."""
    nobody, joined = findings[unknown(findings)], spellings(findings)
    fine = f"{findings['group_id'].nunique()} people, each id spelt in one way"
    count = len(joined) + nobody["group_id"].nunique() + bool(crowd(findings))
    return Check("people", WARNING if count else OK, count, "; ".join(remarks(findings)) or fine)


def headers(findings: pd.DataFrame, index: pd.DataFrame) -> Check:
    """Whether the patient of each finding is the one in the DICOM header of its file.

    An id that no finding has says nothing, since headers may be pseudonymised; one that several patients
    have does, unless most of them have it: then it is nobody's.
    """
    findings = findings[~unknown(findings)]
    told = index.set_index("file")["patient_id"].reindex(findings["file"], fill_value="")
    rows = pd.DataFrame(
        {
            "name": findings["patient_id"].to_numpy(),
            "patient": persons(findings["patient_id"]).to_numpy(),
            "header": persons(told).to_numpy(),
        }
    ).drop_duplicates(["patient", "header"])
    rows = rows[(rows["patient"] != "") & (rows["header"] != "")]
    if rows.empty:
        return Check("headers", NONE, 0, "no patient of the table with an id in a DICOM header")
    name_of = rows.drop_duplicates("patient").set_index("patient")["name"]
    others = rows[rows["header"].isin(name_of.index) & (rows["header"] != rows["patient"])]
    swapped = [f"{row['name']} has a file of {name_of[row['header']]}" for _, row in others.iterrows()]
    rest = rows[~rows["header"].isin(name_of.index)].groupby("header", sort=False)["name"]
    shared = [" = ".join(names) for _, names in rest if 1 < len(names) <= len(name_of) / 2]
    detail = [
        f"{what}: {named(names)}"
        for what, names in (("another patient in the header", swapped), ("one patient in the header", shared))
        if names
    ]
    count = len(swapped) + len(shared)
    fine = f"no header contradicts the {len(name_of)} patients that have one"
    return Check("headers", WARNING if count else OK, count, "; ".join(detail) or fine)


def split_leaks(own: DataFolder, leak: str) -> Check:
    """Groups, patients and identical patches in several splits of a fold; a warning with ``leak="warn"``."""
    if not own.folds:
        return Check("splits", NONE, 0, "no splits")
    found = [
        f"fold {fold}: {offenders}"
        for fold, table in enumerate(own.folds)
        for offenders in leaks(own.folder / "patches.h5", table)
    ]
    bad = FAILED if leak == "refuse" else WARNING
    nothing = f"no group, patient or patch in two splits; folds: {len(own.folds)}"
    detail = "; ".join(found) or nothing
    return Check("splits", bad if found else OK, len(found), detail)


def exact_duplicates(own: DataFolder) -> Check:
    """Identical slices under different patient ids: whether one group holds them and their labels agree.

    And whether one volume or series is that of patients in different groups, whatever its slices.
    """
    by_image = own.images.groupby(["channel", "digest"])
    # Channels of the same findings, such as colours, are one image.
    parts = {tuple(part[KEY].itertuples(index=False)): part for _, part in by_image}
    shared = [part for part in parts.values() if persons(part["patient_id"]).nunique() > 1]
    apart = [part for part in shared if part["group_id"].nunique() > 1]
    contrary = [part for part in shared if part["label"].nunique() > 1]
    odd = [part for part in shared if part[["group_id", "label"]].nunique().max() > 1]
    names = [" = ".join(part["patient_id"].drop_duplicates()) for part in odd]
    detail = f"{len(shared)} images under different ids, all in one group and of one label"
    if names:
        detail = f"{len(apart)} images in several groups, {len(contrary)} with both labels: {named(names)}"
    sources = [part for _, part in own.images.groupby("source") if part["group_id"].nunique() > 1]
    of_several = {" = ".join(part["patient_id"].drop_duplicates()) for part in sources} - {*names}
    if of_several:
        several = f"{len(of_several)} files or series of several patients: {named(sorted(of_several))}"
        detail = f"{detail}; {several}" if names else several
        names += of_several
    return Check("exact duplicates", WARNING if names else OK, len(names), detail)


def crossing(own: DataFolder) -> list[dict[str, object]]:
    """The rows of near_duplicates.csv with the folds in which the two images are in two splits."""
    splits_of = [_splits_of(table) for table in own.folds]
    rows: list[dict[str, object]] = []
    for pair in read_csv(own.folder / "near_duplicates.csv").to_dict("records"):
        patients = person(pair["patient_id_1"]), person(pair["patient_id_2"])
        ends = [tuple(map(splits.get, patients)) for splits in splits_of]
        apart = [f"fold {fold}" for fold, (one, two) in enumerate(ends) if one and two and len(one | two) > 1]
        rows.append({**pair, "in two splits": ", ".join(apart)})
    return rows


def near_duplicates(own: DataFolder) -> Check:
    """Whether near-duplicate images under different ids are in two splits of a fold."""
    rows = crossing(own)
    apart = [row for row in rows if row["in two splits"]]
    detail = f"{len(rows)} pairs under different ids, none in two splits"
    if apart:
        names = [f"{row['patient_id_1']} ≈ {row['patient_id_2']}" for row in apart]
        detail = f"{len(apart)} of {len(rows)} pairs are in two splits: {named(names)}; look at them"
    return Check("near duplicates", WARNING if apart else OK, len(apart), detail)


def _tested(
    own: DataFolder, other: DataFolder, pairs: Sequence[tuple[tuple[str, str], tuple[str, str]]]
) -> list[str]:
    """Of pairs of findings (own, other) those where one trains and the other is validated or tested."""
    found = []
    for fold, (mine, theirs) in enumerate(zip(own.folds, other.folds, strict=False)):
        ours, others = _split_of(mine), _split_of(theirs)
        for one, two in pairs:
            splits = {ours.get(one), others.get(two)} - {None}
            if len(splits) == 2 and SPLITS[0] in splits:
                found.append(f"{own.name} {' '.join(one)} = {other.name} {' '.join(two)} in fold {fold}")
    return found


def shared_patients(own: DataFolder, other: DataFolder, leak: str) -> Check:
    """Patient ids of both data sets, and whether one trains in one and is validated or tested in the other.

    That fails only where ids mean the same in both: the config says so, or a patient has a study or an
    identical slice in both. Where the config says so, a patient must be in the same split of both.
    """
    declared = bool(own.people) and own.people == other.people
    tables = (own.images, other.images)
    ours, theirs = (table.assign(patient=persons(table["patient_id"])) for table in tables)
    spelt = dict(zip(ours["patient"], ours["patient_id"], strict=True))  # as the own data set has it
    patients = sorted((set(ours["patient"]) & set(theirs["patient"])) - {""})
    found = []
    for fold, folds in enumerate(zip(own.folds, other.folds, strict=False)):
        mine, others = map(_splits_of, folds)
        for patient in patients:
            one, two = mine.get(patient, set()), others.get(patient, set())
            if one and two and (declared or SPLITS[0] in one | two) and len(one | two) > 1:
                found.append(f"{spelt[patient]} in fold {fold}")
    same = declared or any(
        not ours[ours[name] != ""].merge(theirs, on=["patient", name]).empty
        for name in ("study_uid", "digest")
    )
    detail = (
        f"ids in both: {named([spelt[patient] for patient in patients])}"
        if patients
        else "no patient id in both"
    )
    if declared:
        detail += ", who are the same people and in the same split of both"
    if found:
        detail = f"trained on in one data set, tested in the other: {named(found)}"
        if declared:
            detail = f"the same people in several splits: {named(found)}"
    result = (
        FAILED
        if found and same and leak == "refuse"
        else WARNING
        if found or (patients and not declared)
        else OK
    )
    return Check(f"patients in {other.name}", result, len(found) or len(patients), detail)


def across(own: DataFolder, others: Sequence[DataFolder], leak: str) -> Iterator[Check]:
    """Patients, identical slices and near-duplicate slices that other data sets of the experiment share.

    It fails only where one of the first two trains in one data set and is validated or tested in the other.
    """
    if not others:
        yield Check("other data sets", NONE, 0, "no other data set in the experiment")
    for other in others:
        yield shared_patients(own, other, leak)
        ours = own.images.assign(case=_cases(own.images))
        theirs = other.images.assign(case=_cases(other.images))
        both = ours.merge(theirs, on="digest", suffixes=("", "_other"))
        exact = sorted(set(zip(both["case"], both["case_other"], strict=True)))
        crossing = _tested(own, other, exact)
        detail = f"{len(exact)} identical slices" if exact else "no identical slice"
        if crossing:
            detail = f"trained on in one data set, tested in the other: {named(crossing)}"
        result = FAILED if leak == "refuse" else WARNING
        yield Check(f"images in {other.name}", result if crossing else WARNING if exact else OK,
                    len(crossing) or len(exact), detail)  # fmt: skip
        pairs = near_pairs(np.concatenate([ours["hash"], theirs["hash"]]).astype("u8"))
        pairs = pairs[(pairs[:, 0] < len(ours)) & (pairs[:, 1] >= len(ours))]
        near = {(ours["case"].iloc[i], theirs["case"].iloc[j - len(ours)]) for i, j, _ in pairs} - set(exact)
        names = [f"{' '.join(one)} ≈ {' '.join(two)}" for one, two in sorted(near)]
        detail = (
            f"within {THRESHOLD} bits: {named(names)}; look at them"
            if near
            else f"none within {THRESHOLD} bits"
        )
        yield Check(f"near duplicates in {other.name}", WARNING if near else OK, len(near), detail)
