"""Tests that the API is compatible with the snapshot, and that the snapshot is up to date."""

from api_documents import snapshot


def test_api_breaks_no_client_of_the_snapshot() -> None:
    broken = snapshot.incompatible_changes()
    assert not broken, (
        "The API would break clients of docs/openapi.json:\n" + "\n".join(broken) + "\n"
        "Keep the old behavior beside the new one. If nobody can use it yet, write the snapshot "
        "with `make openapi INCOMPATIBLE=1`, and say so in CHANGELOG.md."
    )


def test_snapshot_is_up_to_date() -> None:
    assert not snapshot.is_stale(), "docs/openapi.json is stale. Run `make openapi`, and commit it."
