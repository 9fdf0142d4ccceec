"""Blocks on their way: those that are whole come back, whatever happened to the rest of the file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.baselines.progress import Blocks

DIGEST = "ab" * 32


def filled(path: Path, count: int) -> Blocks:
    blocks = Blocks(path, DIGEST, (2, 3))
    for number in range(count):
        blocks.append(np.full((2, 3), number, "f4"))
    return blocks


def numbers(blocks: Blocks) -> list[float]:
    return [float(block[0, 0]) for block in blocks]


@settings(max_examples=30, deadline=None)
@given(kept=st.integers(0, 64 + 4 * 28))
def test_of_a_file_that_was_cut_the_whole_blocks_stay(
    tmp_path_factory: pytest.TempPathFactory, kept: int
) -> None:
    """64 bytes of digest, then 4 of a checksum and 24 of numbers for each block."""
    path = tmp_path_factory.mktemp("cut") / "part"
    filled(path, 4)
    path.write_bytes(path.read_bytes()[:kept])
    again = Blocks(path, DIGEST, (2, 3))
    whole = max(0, (kept - 64) // 28)
    assert (again.count, numbers(again)) == (whole, [float(number) for number in range(whole)])
    again.append(np.full((2, 3), 9, "f4"))
    assert numbers(Blocks(path, DIGEST, (2, 3))) == [*range(whole), 9]


@settings(max_examples=30, deadline=None)
@given(place=st.integers(64, 64 + 4 * 28 - 1))
def test_what_follows_a_damaged_block_does_not_count(
    tmp_path_factory: pytest.TempPathFactory, place: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "part"
    filled(path, 4)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert numbers(Blocks(path, DIGEST, (2, 3))) == list(range((place - 64) // 28))


def test_those_of_another_digest_are_void_and_some_may_be_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = filled(tmp_path / "part", 5)
    blocks.cut(3)
    assert numbers(Blocks(tmp_path / "part", DIGEST, (2, 3))) == [0, 1, 2]
    assert caplog.text == ""
    assert numbers(Blocks(tmp_path / "part", "cd" * 32, (2, 3))) == []
    assert "void" in caplog.text
