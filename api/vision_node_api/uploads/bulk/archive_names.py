"""Recognize archives in an upload of images by their names."""

_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


def is_archive_name(name: str) -> bool:
    """Return whether this is the name of an archive.

    Its content is no sign: Office documents are zip files, too.
    """
    return name.lower().endswith(_SUFFIXES)
