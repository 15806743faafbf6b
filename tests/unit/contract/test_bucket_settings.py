"""Tests of the bucket's settings, which are read from the environment."""

import pytest
from vision_node_contract.clients.bucket import BucketSettings


def test_keys_are_required_unless_keyless_access_is_enabled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "S3_ENDPOINT": "s3:9000",
        "S3_BUCKET": "bucket",
        "S3_KEYLESS": "true",
    }.items():
        monkeypatch.setenv(name, value)

    assert BucketSettings.from_env().keyless
    monkeypatch.delenv("S3_KEYLESS")
    with pytest.raises(KeyError, match="S3_ACCESS_KEY"):
        BucketSettings.from_env()


def test_empty_key_raises_an_error_instead_of_enabling_keyless_access(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "S3_ENDPOINT": "s3:9000",
        "S3_BUCKET": "bucket",
        "S3_SECRET_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setenv("S3_ACCESS_KEY", "")
    with pytest.raises(ValueError, match="S3_ACCESS_KEY is empty"):
        BucketSettings.from_env()
