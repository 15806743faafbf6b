"""Tests of the set that finds duplicate customIds."""

from vision_node_contract.digest_set import FIRST_SLOTS, DigestSet


def test_each_text_is_new_once_even_after_the_table_has_grown() -> None:
    texts = [f"image-{number}" for number in range(3 * FIRST_SLOTS)]
    seen = DigestSet()
    assert all(seen.add(text) for text in texts)
    assert not any(seen.add(text) for text in texts)


def test_different_sets_use_different_digests() -> None:
    """Otherwise, someone could look for texts with the same digest."""
    assert DigestSet()._digest("a") != DigestSet()._digest("a")
