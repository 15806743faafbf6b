"""Tests of the termination message, which names the ImageJobs that are being described."""

from pathlib import Path

import pytest
from vision_node_describer.termination_message import TerminationMessage


def test_message_names_imagejobs_being_described(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.touch()
    message = TerminationMessage(path)

    with message.describing("first"):
        assert path.read_text() == "first"
        with message.describing("second"):
            assert path.read_text() == "first\nsecond"
        with pytest.raises(ZeroDivisionError), message.describing("second"):
            raise ZeroDivisionError
        assert path.read_text() == "first"

    assert path.read_text() == ""


def test_missing_message_file_is_ignored(tmp_path: Path) -> None:
    with TerminationMessage(tmp_path / "missing").describing("first"):
        pass


def test_failed_write_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = TerminationMessage(Path("/dev/full"))
    with message.describing("first"), message.describing("second"):
        pass
    assert [record.message for record in caplog.records] == [
        "the termination message can't be written: [Errno 28] No space left on device"
    ]
