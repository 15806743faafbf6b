"""Choose how to read an upload of many images, by its Content-Type."""

from typing import Protocol

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from ...web.problems import Problem
from .file_collector import FileCollector
from .form_files import FormFiles
from .tar_files import TarFiles, compressed

FORM_TYPE = b"multipart/form-data"
JSON_TYPE = b"application/json"
TAR_TYPES = frozenset({b"application/x-tar", b"application/tar"})
ZIP_TYPES = frozenset({b"application/zip", b"application/x-zip-compressed"})

_GZIP_TYPES = frozenset(
    {
        *(b"application/gzip", b"application/x-gzip", b"application/x-compressed-tar"),
        *(b"application/x-tgz", b"application/x-gtar-compressed", b"application/tar+gzip"),
    }
)


class FilesReader(Protocol):
    """Receives the bytes of a body and gives its files to a collector."""

    fields: dict[str, str]
    """Options by name, as far as they have arrived."""

    @property
    def kept_bytes(self) -> int:
        """Number of bytes in memory."""

    def write(self, chunk: bytes) -> None:
        """Read the next bytes."""

    def close(self) -> None:
        """Check that the body is complete."""


def content_type(request: Request) -> bytes:
    """Return the media type of a request's body, without parameters."""
    kind, _ = parse_options_header(request.headers.get("content-type"))
    return kind


def reader_for(request: Request, collector: FileCollector) -> FilesReader:
    """Return the reader of a form or a tar stream.

    Raises:
        Problem: 400 BadRequest if a form has no boundary; 415 ArchiveUnsupported or NotAnUpload.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == FORM_TYPE:
        return FormFiles(options.get(b"boundary", b""), collector)
    if kind in TAR_TYPES:
        return TarFiles(collector)
    if kind in _GZIP_TYPES:
        raise compressed("gzip")

    detail = (
        "The Content-Type is none of an upload. Send a form with files (multipart/form-data: curl "
        "-F files=@a.jpg -F files=@b.jpg), a tar stream (application/x-tar), a zip file "
        "(application/zip), or JSON with prefix, manifest or upload (application/json)."
    )
    raise Problem(415, "NotAnUpload", detail)
