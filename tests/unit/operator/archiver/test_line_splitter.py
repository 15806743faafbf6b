"""Tests of splitting a file into lines."""

import pytest
from vision_node_operator.archiver.manifests.line_splitter import MAX_LINE_BYTES, LineSplitter

LONG = b"x" * MAX_LINE_BYTES
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\n \r\na\n", [b"", b"", b"a"]),
        (BOM + b"a\n" + BOM + b"b", [b"a", BOM + b"b"]),
        (BOM, [b""]),
        (LONG + b"\n" + LONG + b"\r\na", [LONG, LONG, b"a"]),
        (LONG + b"y\na", [None, b"a"]),
        (3 * LONG, [None]),
        (3 * LONG + b"\n" + 3 * LONG, [None, None]),
        (b"\xff\x00\n", [b"\xff\x00"]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 1000, 1 << 20])
def test_lines_do_not_depend_on_the_pieces(
    data: bytes, lines: list[bytes | None], size: int
) -> None:
    splitter = LineSplitter()
    found = [
        line
        for first in range(0, len(data), size)
        for line in splitter.feed(data[first : first + size])
    ]
    assert [*found, *splitter.finish()] == lines


def test_endless_line_takes_little_memory() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert not list(splitter.feed(LONG))
        assert len(splitter._rest) <= 2 * MAX_LINE_BYTES
