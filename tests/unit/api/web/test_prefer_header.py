"""Tests of the preference `wait` in Prefer headers (RFC 7240)."""

import time

import pytest
from vision_node_api.web.prefer import wait_seconds


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["wait=30"], 30),
        (["wait=0"], 0),
        (["wait=60"], 60),
        (["wait=61"], 60),
        (["wait=007"], 7),
        (["wait=" + "9" * 5000], 60),
        (["WAIT=5"], 5),
        (["Wait = 5"], 5),
        (['wait="5"'], 5),
        (['wait="\\5"'], 5),
        (["wait=5; foo=bar"], 5),
        (['wait=5;a="x, wait=9";b'], 5),
        (["wait=5 ; "], 5),
        (["respond-async, wait=10"], 10),
        (["respond-async,wait=10,"], 10),
        ([",, ,\twait=10"], 10),
        (['foo="a, wait=1"; bar="\\", wait=2", wait=3'], 3),
        (["respond-async", "handling=lenient, wait=4"], 4),
        (["wait=1, wait=2"], 1),
        (["wait=1", "wait=2"], 1),
        (["foo; wait=3"], None),
        (["two words, wait=3"], 3),
        (["=, wait=3"], 3),
        ([], None),
        ([""], None),
        (["wait"], None),
        (["wait="], None),
        (['wait=""'], None),
        (["wait=-1"], None),
        (["wait=+1"], None),
        (["wait=1.5"], None),
        (["wait=1s"], None),
        (["wait=1 2"], None),
        (["wait=\u00b2"], None),
        (["wait=soon, wait=3"], None),
        (["wait", "wait=3"], None),
        (["waiting=3"], None),
        (["x-wait=3"], None),
        (['foo="unterminated, wait=3'], None),
        (['foo="\\'], None),
    ],
)
def test_first_valid_wait_counts(headers: list[str], expected: int | None) -> None:
    assert wait_seconds(headers) == expected


@pytest.mark.parametrize(
    "piece", ['"\\', '"', "\\", ",", "a", "a=", 'a="', ";", " ", "a=b;", 'a="b"', "wait=x ", "\t="]
)
@pytest.mark.parametrize("start", ["", "a", 'a="', "wait="])
def test_no_header_takes_long(start: str, piece: str) -> None:
    begun = time.process_time()
    wait_seconds([start + piece * (65536 // len(piece))])
    assert time.process_time() - begun < 1.0
