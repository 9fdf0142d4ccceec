import unicodedata
from pathlib import Path

import pytest

from pipeline.errors import ImageMissingError
from pipeline.readers.names import Names

COMPOSED, APART = (unicodedata.normalize(form, "Müller é.png") for form in ("NFC", "NFD"))
FILES = ["a.png", "Case 1/T2/0.dcm", "Case 1/T2/1.dcm", f"sub/{APART}", "x/1.png", "y/1.png", "Straße.png"]
RAW = Path("/data/raw/mine")


def names(*written, files=FILES):
    return Names(files, RAW, written)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.png", "a.png"),
        ("A.PNG", "a.png"),
        ("./a.png", "a.png"),
        (".\\a.png", "a.png"),
        ("./././/a.png", "a.png"),
        (f"sub/{COMPOSED}", f"sub/{APART}"),
        (f"sub/{APART}", f"sub/{APART}"),
        (f"SUB\\{COMPOSED.upper()}", f"sub/{APART}"),
        ("STRASSE.png", "Straße.png"),
        ("case 1/t2", "Case 1/T2"),
        ("Case 1\\T2\\", "Case 1/T2"),
        ("Case 1", "Case 1"),
        (".", "."),
        ("./", "."),
        ("/data/raw/mine/x/1.png", "x/1.png"),
        ("/DATA/raw/mine/a.png", "a.png"),
        ("case 1/t2/0.DCM#12", "Case 1/T2/0.dcm#12"),
        ("/data/raw/mine/Case 1/T2/0.dcm#1", "Case 1/T2/0.dcm#1"),
    ],
)
def test_a_name_that_just_one_path_fits_is_found_as_it_is_on_the_disk(name, path):
    assert names(name).find(name) == path


@pytest.mark.parametrize(
    "old", ["/home/me/raw", "C:\\Users\\me\\raw", "c:/raw", "\\\\server\\share", "/x/y", "/"]
)
def test_the_folder_in_which_the_files_lay_before_is_left_out(old):
    separator = "\\" if "\\" in old else "/"
    files = {"x/1.png": "x/1.png", "y/1.png#3": "y/1.png#3", "A.png": "a.png"}
    written = {f"{old.rstrip('/')}/{name}".replace("/", separator): path for name, path in files.items()}
    found = names(*written)
    assert {name: found.find(name) for name in written} == written


def test_a_name_in_another_folder_of_old_is_not_taken_for_a_file_of_the_same_name():
    written = ["/old/x/1.png", "/old/a.png", "/other/a.png", "/older/z/y/1.png"]
    found = names(*written)
    assert [found.find(name) for name in written[:2]] == ["x/1.png", "a.png"]
    for name in written[2:]:
        with pytest.raises(ImageMissingError, match="did you mean"):
            found.find(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("1.png", "x/1.png or y/1.png"),
        ("z/1.png", "x/1.png or y/1.png"),
        ("a.pgn", "a.png"),
        ("raw/mine/a.png", "a.png"),
        ("Case 2/T2/1.dcm", "Case 1/T2/1.dcm"),
    ],
)
def test_a_name_that_no_path_fits_is_an_error_with_the_nearest(name, near):
    with pytest.raises(ImageMissingError, match="found no readable file of that name; did you mean " + near):
        names(name).find(name)


@pytest.mark.parametrize("name", ["nothing/like/it.bin", "../a.png/..", "/", "C:\\"])
def test_a_name_like_no_other_is_an_error(name):
    with pytest.raises(ImageMissingError, match="found no readable file of that name"):
        names(name).find(name)


def test_of_two_files_that_differ_in_case_alone_only_the_exact_name_is_taken():
    found = names(files=["A.png", "a.png"])
    assert found.find("a.png") == "a.png"
    with pytest.raises(ImageMissingError, match=r"found 2 that fit; did you mean A\.png or a\.png\?"):
        found.find("A.PNG")


def test_thousands_of_missing_names_do_not_take_minutes():
    files = [f"{number:05}.png" for number in range(20_000)]
    missing = [f"{number:05}x.png" for number in range(20_000)]
    found = names(files=files)
    messages = []
    for name in missing:
        with pytest.raises(ImageMissingError) as caught:
            found.find(name)
        messages.append(caught.value.remedy)
    assert sum("did you mean" in message for message in messages) == 20


def test_the_image_of_another_patient_is_not_what_was_meant():
    files = ["nii/MR040_T2.nii.gz", "nii/MR038_T2.nii.gz", "nii/MR039_T1.nii.gz"]
    with pytest.raises(ImageMissingError) as caught:
        names(files=files).find("nii/MR008_T2.nii.gz")
    assert "did you mean" not in str(caught.value)
    assert "take the row out" in str(caught.value)
    with pytest.raises(ImageMissingError, match=r"did you mean nii/MR040_T2\.nii\.gz\?"):
        names(files=files).find("nii/MR40_T2.nii")
