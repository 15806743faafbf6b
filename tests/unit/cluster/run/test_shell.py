"""Tests of the functions that run other programs."""

from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.run import shell


def test_program_for_another_platform_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "kind"
    program.write_bytes(b"\xcf\xfa\xed\xfe of macOS")
    program.chmod(0o755)
    with pytest.raises(ClusterError, match="can't be run"):
        shell.output([program, "version"])
