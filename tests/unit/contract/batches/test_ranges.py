"""Tests of sets of indexes: whatever the ranges, they behave like Python's own sets."""

import random

import pytest
from vision_node_contract.ranges import Range, RangeSet, format_ranges, parse_ranges


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ([], ""),
        ([(0, 0)], "0"),
        ([(0, 411), (413, 413)], "0-411,413"),
        ([(5, 6), (0, 4)], "0-6"),
        ([(0, 10), (3, 4)], "0-10"),
        ([(0, 3), (5, 9), (4, 4)], "0-9"),
    ],
)
def test_set_is_written_as_sorted_ranges(ranges: list[tuple[int, int]], text: str) -> None:
    assert str(RangeSet(ranges)) == text
    assert RangeSet.parse(text) == RangeSet(ranges)


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-2", "1,,2", "1-2-3", ","])
def test_text_that_is_not_a_list_of_ranges_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_ranges(text)


def test_parsed_ranges_keep_their_order_and_their_borders() -> None:
    text = "7,3-4,5-6"
    assert parse_ranges(text) == [Range(7, 7), Range(3, 4), Range(5, 6)]
    assert format_ranges(parse_ranges(text)) == text


@pytest.mark.parametrize("seed", range(200))
def test_sets_of_ranges_agree_with_sets(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    one, other = ({chance.randrange(20) for _ in range(chance.randrange(15))} for _ in range(2))
    first = chance.randrange(20)
    within = Range(first, first + chance.randrange(5))
    mine, its = RangeSet.of(one), RangeSet.of(other)

    assert {*mine} == one
    assert len(mine) == len(one)
    assert {*(mine | its)} == one | other
    assert {*(mine - its)} == one - other
    assert mine.isdisjoint(its) == one.isdisjoint(other)
    assert mine.issuperset(its) == (one >= other)
    assert [index in mine for index in range(20)] == [index in one for index in range(20)]

    indexes = {*range(within.first, within.last + 1)}
    assert mine.overlaps(within) == bool(one & indexes)
    assert {*RangeSet(mine.gaps(within))} == indexes - one
    assert hash(RangeSet.parse(str(mine))) == hash(mine)
