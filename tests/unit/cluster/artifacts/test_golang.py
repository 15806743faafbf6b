"""Tests of how program versions are parsed, and of the flags for `go build`."""

import pytest

from cluster.artifacts.golang import Program, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go1.26.8", (1, 26)),
        ("v4.3.1", (4, 3)),
        ("kind v0.33.0 go1.26.8 linux/amd64", (0, 33)),
        ("v3.22.0+gabcdef", (3, 22)),
        ("development", (0, 0)),
    ],
)
def test_version_is_parsed_from_program_output(text: str, expected: tuple[int, int]) -> None:
    assert parse(text) == expected


def test_versions_compare_numerically() -> None:
    assert parse("go1.9") < parse("go1.26")


def test_linker_flags_set_versions() -> None:
    program = Program("kube", module="kubernetes", variables=(("a.b", "v1"), ("a.c", "2")))
    assert program.flags == ["-trimpath", "-ldflags", "-s -w -X a.b=v1 -X a.c=2"]
