"""Tests of cleaning, shortening and quoting untrusted text, and of parsing it quickly."""

import json
import time
from contextlib import suppress

import pytest
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError
from vision_node_describer.describers.remote.answers.normalize import read_answer
from vision_node_describer.describers.remote.sanitize import clean, quote_provider, shorten


@pytest.mark.parametrize(
    ("alt", "expected"),
    [
        ("An image of a dog", "A dog"),
        ("image of image of a dog", "A dog"),
        ("The photo shows a dog", "A dog"),
        ("A black and white photograph of a dog", "A dog"),
        ("Picture: a dog", "A dog"),
        ("Imagery of clouds", "Imagery of clouds"),
        ("A photo booth in a mall", "A photo booth in a mall"),
        ("A boy with a picture of a dog", "A boy with a picture of a dog"),
        ("a dog\n\tand a \u202ecat\x07", "A dog and a cat"),
        ("Image of", "The caption"),
        ("", "The caption"),
    ],
)
def test_alternative_text_omits_phrases_such_as_image_of(alt: str, expected: str) -> None:
    answer = {"description": "The body.", "caption": "The caption", "alt": alt}
    assert read_answer(json.dumps(answer), Options(), model=None, usage=None).alt == expected


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("short", 10, "short"),
        ("a few words here", 12, "a few words…"),
        ("愛" * 20, 10, "愛" * 9 + "…"),
        ("x " + "y" * 50, 40, "x " + "y" * 37 + "…"),
        ("abc", 1, "…"),
    ],
)
def test_text_is_shortened_between_words_if_possible(text: str, most: int, expected: str) -> None:
    assert shorten(text, most) == expected


def test_clean_keeps_joiners_and_removes_control_characters() -> None:
    assert clean("👩‍👩‍👧 می‌خواهم\tä\n1", 50) == "👩‍👩‍👧 می‌خواهم\tä\n1"
    assert clean("a\x00b\u202ec\ud800d\x1b[31m", 50) == "abcd[31m"


HOSTILE = [
    *(
        "```json " + "{" * 200_000,
        "{" * 500_000,
        '{"a":' * 100_000,
        "<think>" * 100_000,
        '[["a",' * 60_000,
    ),
    *('["a" ' * 80_000, '{"description": "' * 20_000, ',"alt":' * 50_000 + "}", "\n[" * 200_000),
    *(
        '{"alt": ' + '" , ' * 130_000,
        "{'description' : " * 25_000,
        '{"text": "", ' * 30_000,
        "{ //" * 100_000,
    ),
    *(
        '{\\"' * 100_000,
        "```json\n" * 50_000,
        '{"description": {"description": ' * 20_000,
        " " * 4_000_000,
    ),
    *(
        '{"description":' + "[" * 100_000,
        '"description": ' * 30_000,
        '{"tags": [' + '"a",' * 90_000 + "]}",
    ),
    "</think>\n{" * 50_000,
]

HOSTILE_PROSE = [
    *("</think>" * 100_000 + "A cat. " + '{"a": 1} ' * 10_000, "<" * 400_000, "." * 400_000 + "x"),
    *(
        "I'm sorry, " * 40_000,
        'a: {"description": "x", "z": 1}. ' * 12_000,
        '"\\"' * 100_000,
        "# a\n" * 1_000_000,
    ),
]


@pytest.mark.parametrize("hostile", HOSTILE + HOSTILE_PROSE, ids=lambda hostile: repr(hostile[:20]))
def test_hostile_answer_is_read_quickly(hostile: str) -> None:
    started = time.thread_time()
    with suppress(DescribeError) if hostile in HOSTILE_PROSE else pytest.raises(DescribeError):
        read_answer(hostile, Options(), model=None, usage=None)
    assert time.thread_time() - started < 1.5


def test_quotation_from_a_provider_contains_no_secrets() -> None:
    assert quote_provider("key hunter2-secret\nis bad", "hunter2-secret") == "key [secret] is bad"
    assert (
        quote_provider("Incorrect API key provided: sk-ab***yz.")
        == "Incorrect API key provided: [secret]"
    )
    assert quote_provider("Authorization: Bearer 0123456789abcdef0") == "Authorization: [secret]"
    assert (
        quote_provider("skipped: Bearer authentication, sk-8")
        == "skipped: Bearer authentication, sk-8"
    )
    assert quote_provider(" \n") == "no explanation"
    assert len(quote_provider("x" * 5000)) == 300
