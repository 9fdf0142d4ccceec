"""Lists of whom a network has seen: who is in them, who is refused, and what a reader learns from them."""

import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import LeakError
from pipeline.splits import seen
from pipeline.splits.split import LEARNED


def table(ids: list[str], splits: list[str], images: list[str] | None = None) -> pd.DataFrame:
    """A finding of each person, by default with an image of its own."""
    images = images or [f"image of {name}" for name in ids]
    return pd.DataFrame({"patient_id": ids, "finding_id": "1", "split": splits, "image": images})


OURS = table(["Case-1", "Case-2", "Case-3"], ["train", "validation", "test"])
OWN = {"brain": "brain"}


def met(theirs: pd.DataFrame, names: dict[str, str] = OWN, entries: list[seen.Entry] | None = None) -> str:
    """What is said of a run that has seen OURS when another has these findings; nothing where it may go on."""
    known = [seen.entry({"brain": OURS}, OWN)] if entries is None else entries
    try:
        seen.check(known, dict.fromkeys(names, theirs), names, leak="refuse", model="m.safetensors")
    except LeakError as error:
        return str(error)
    return ""


def test_it_is_known_who_was_learned_from_and_is_in_the_training_again() -> None:
    known = [seen.entry({"brain": OURS}, OWN)]
    assert seen.knows(known, {"brain": OURS}, OWN)
    assert not seen.knows(
        known, {"brain": OURS.assign(patient_id="new " + OURS["patient_id"], image=OURS["image"] + "0")}, OWN
    )
    validated = OURS[OURS["split"] != "train"].assign(split="train")
    assert not seen.knows(known, {"brain": validated}, OWN)
    assert not seen.knows([], {"brain": OURS}, OWN)


@pytest.mark.parametrize(
    ("name", "split", "refused"),
    [
        ("case-1", "train", False), ("case-1", "validation", True), ("case-1", "test", True), ("case-1", "", True),
        ("case-2", "train", False), ("case-2", "validation", False), ("case-2", "test", True), ("case-2", "", True),
        ("case-3", "validation", False), ("case-3", "test", False), ("case-4", "test", False),
    ],
)  # fmt: skip
def test_nobody_is_tested_who_trained_or_validated_nor_validated_who_trained(
    name: str, split: str, refused: bool
) -> None:
    theirs = table([name], [split], ["another image"])
    assert bool(met(theirs)) == refused
    # The same image under another id, or of people with another name, is as good as the person.
    again = table(["x"], [split], [f"image of {name.capitalize()}"])
    assert bool(met(again, {"other": "others"})) == refused


def test_equal_ids_of_other_people_mean_nothing() -> None:
    theirs = table(["case-1"], ["test"], ["another image"])
    assert not met(theirs, {"lung": "lung"})
    assert met(theirs)


def test_a_person_is_known_by_each_name_that_the_people_go_by() -> None:
    both = [seen.entry({"mass": OURS, "effusion": OURS}, {"mass": "effusion", "effusion": "effusion"})]
    theirs = table(["case-1"], ["test"], ["another image"])
    for names in ({"mass": "mass"}, {"effusion": "effusion"}, {"mass": "aortic", "aortic": "aortic"}):
        assert "case-1" in met(theirs, names, both)
    assert not met(theirs, {"brain": "brain"}, both)


def test_who_is_unknown_is_compared_by_the_image_alone() -> None:
    nobody = table(["n/a", "n/a"], ["train", "train"], ["one", "two"])
    known = [seen.entry({"brain": nobody}, OWN)]
    assert not met(table(["unknown"], ["test"], ["three"]), entries=known)
    assert "1 images like: brain unknown 1" in met(table(["unknown"], ["test"], ["two"]), entries=known)


def test_the_line_names_some_of_them_and_what_to_do() -> None:
    ids = [f"p{number}" for number in range(8)]
    known = [seen.entry({"brain": table(ids, ["train"] * 8)}, OWN)]
    line = met(table(ids, ["test"] * 8, list("abcdefgh")), entries=known)
    assert line == (
        "E-LEAK m.safetensors: expected an extractor that has seen nobody of this run's validation or test, found"
        " 8 patients: brain p0, brain p1, brain p2, brain p3, brain p4 and 3 more; take the runs of a method of"
        " this experiment, results/METHOD, or of one with the same splits"
    )


def test_published_splits_are_only_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        seen.check(
            [seen.entry({"brain": OURS}, OWN)],
            {"brain": table(["case-1"], ["test"])},
            OWN,
            leak="warn",
            model="m",
        )
    assert "1 patients: brain case-1" in caplog.text


@given(st.permutations(range(3)), st.integers(0, 3))
def test_the_same_findings_give_the_same_bytes_and_others_nothing_to_compare(
    order: list[int], more: int
) -> None:
    known = seen.entry({"brain": OURS}, OWN)
    assert seen.entry({"brain": OURS.iloc[order]}, OWN) == known
    extra = table([f"q{number}" for number in range(more)], ["train"] * more)
    other = seen.entry({"brain": pd.concat([OURS, extra])}, OWN)
    shared = {digest for split in LEARNED for digest in other[split]} & {
        *known["train"],
        *known["validation"],
    }
    assert bool(shared) == (more == 0)


def test_a_list_holds_no_id_and_no_digest_of_an_image(tmp_path: Path) -> None:
    path = tmp_path / seen.FILE
    entry = seen.entry({"brain": table(["Zebedee-4711"], ["train"], ["ab" * 32])}, OWN)
    seen.write(path, [entry, entry])
    text = path.read_text()
    assert not [word for word in ("4711", "zebedee", "brain", "abab") if word in text.lower()]
    assert json.loads(text) == seen.read(path) == [entry]
    assert (len(entry["train"]), entry["validation"]) == (2, [])  # the person and the image


@pytest.mark.parametrize(
    "text", [None, "", "[", "{}", "[{}]", '[{"salt": "x", "train": [], "validation": []}]']
)
def test_a_run_without_a_list_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / seen.FILE
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        LeakError,
        match=r"E-LEAK .*seen.json: expected the list of the people .*, found none; train it again, or instead of a probe",
    ):
        seen.read(path)


def test_both_states_of_a_run_have_one_list() -> None:
    run = Path("results/typhon/fold0/seed1")
    for model in ("model.safetensors", "best/model.safetensors"):
        assert seen.beside(run / model) == run / "seen.json"
    assert seen.beside(run / "bootstrap/network.safetensors") == run / "bootstrap/seen.json"
