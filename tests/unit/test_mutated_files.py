"""Damaged files: each is refused with its file, line and reason, or imported with exactly what its text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.candles.files.parsing import read_files
from shared.errors import ImportRefused
from tests.mutations import KINDS, Kind, Mutant, good_rows, good_text, mutated_files

# What has no line: the whole is no text, no archive, or has more gaps or another interval than can be.
WITHOUT_A_LINE = re.compile(
    "cannot be unpacked|no .csv file in it|it is empty|it has no bars|UTF-16|lacks|bars are mostly"
    "|no two bars are closer|cannot be read as CSV|its prices may be|interval of a single bar|its name does not say"
)


def imported(mutant: Mutant) -> list[tuple[float, ...]] | str:
    """The bars, or the refusal. Anything else that is raised is an error of ours."""
    try:
        [series] = read_files([mutant.path], mutant.kind.reading)
    except ImportRefused as refusal:
        return refusal.message
    return list(zip(*(column.tolist() for column in series.bars), strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_file_that_is_not_damaged_is_read_as_it_stands(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / kind.file
    path.write_bytes(good_text(kind, 1))
    mutant = Mutant(path, kind, "nothing", path.read_bytes())
    assert imported(mutant) == good_rows(1) == mutant.rows()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_damaged_file_is_refused_with_its_place_or_read_as_it_says(seed: int, tmp_path: Path) -> None:
    refused = 0
    mutants = mutated_files(seed, tmp_path)
    assert len(mutants) == 100
    for mutant in mutants:
        found = imported(mutant)
        about = f"{mutant.path.parent.name} {mutant.kind.name}, {mutant.done}: "
        if isinstance(found, str):
            refused += 1
            assert found.startswith(mutant.path.name), about + found
            assert re.search(r", line [0-9]+: ", found) or WITHOUT_A_LINE.search(found), about + found
            assert len(found) < 500, about + found
        elif mutant.text is None:
            assert found == good_rows(seed + int(mutant.path.parent.name)), about
        else:
            assert found == mutant.rows(), about
    assert 50 < refused < 95, "most are refused, and some are none the worse"


def test_the_same_seed_damages_the_same_way(tmp_path: Path) -> None:
    first, again = mutated_files(7, tmp_path / "a"), mutated_files(7, tmp_path / "b")
    assert [one.path.read_bytes() for one in first] == [one.path.read_bytes() for one in again]
