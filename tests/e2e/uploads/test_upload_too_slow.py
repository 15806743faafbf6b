"""Tests of an upload far below the minimum rate."""

import json
from collections.abc import Callable
from concurrent.futures import Future

from uploads.conftest import STALLED
from uploads.slow_clients import Answer


def test_upload_that_is_far_too_slow_is_ended(
    stalled: "Future[Answer | None]", exists: Callable[[str], bool]
) -> None:
    """It began with the first test of the package, because it may take half a minute."""
    answer = stalled.result()
    assert answer is not None
    assert answer.status == 408, answer.body
    assert json.loads(answer.body)["reason"] == "UploadTooSlow"
    assert not exists(STALLED)
