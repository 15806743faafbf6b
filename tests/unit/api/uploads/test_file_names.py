"""Names of files in an upload of many images."""

import pytest
from vision_node_api.uploads.bulk.file_names import NameInvalidError, custom_id_of, is_skipped


@pytest.mark.parametrize(
    ("name", "custom_id"),
    [
        ("photo.jpg", "photo.jpg"),
        ("holiday/2026/photo.jpg", "holiday/2026/photo.jpg"),
        ("./photo.jpg", "photo.jpg"),
        (".\\holiday\\photo.jpg", "holiday/photo.jpg"),
        ("Füße und 雪.jpg", "Füße und 雪.jpg"),
        ("a..b.jpg", "a..b.jpg"),
        ("x" * 512, "x" * 512),
    ],
)
def test_custom_id_is_the_path(name: str, custom_id: str) -> None:
    assert custom_id_of(name) == custom_id


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no name"),
        ("./", "no name"),
        (".", "no name"),
        ("folder/", "no name"),
        ("folder/.", "no name"),
        ("../photo.jpg", "'..'"),
        ("a/../../photo.jpg", "'..'"),
        ("a\\..\\photo.jpg", "'..'"),
        ("..", "'..'"),
        ("/etc/photo.jpg", "absolute"),
        (".//etc/photo.jpg", "absolute"),
        ("\\\\server\\photo.jpg", "absolute"),
        ("C:\\photo.jpg", "absolute"),
        ("photo\n.jpg", "control characters"),
        ("photo\0.jpg", "control characters"),
        ("photo\x7f.jpg", "control characters"),
        ("photo\x85.jpg", "control characters"),
        ("photo\u2028.jpg", "control characters"),
        (b"photo\xff.jpg".decode(errors="surrogateescape"), "not UTF-8"),
        ("x" * 513, "more than 512"),
    ],
)
def test_name_that_cannot_be_a_custom_id_is_refused(name: str, why: str) -> None:
    with pytest.raises(NameInvalidError, match=why):
        custom_id_of(name)


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "a/.hidden/photo.jpg",
        "./.hidden.jpg",
        ".\\.hidden.jpg",
        "__MACOSX/photo.jpg",
        "a\\__MACOSX\\._photo.jpg",
    ],
)
def test_hidden_files_and_metadata_of_macos_are_skipped(name: str) -> None:
    assert is_skipped(name)


@pytest.mark.parametrize("name", ["photo.jpg", "./a/photo.jpg", "../photo.jpg", "a.b/c.jpg", ""])
def test_other_files_are_not_skipped(name: str) -> None:
    assert not is_skipped(name)
