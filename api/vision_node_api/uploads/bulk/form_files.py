"""Read a form with many files, and the options before them."""

from io import BytesIO

from vision_node_contract.models.reasons import Reason

from ...web.problems import Problem
from ..base64_text import looks_like_image
from ..batch_options import BATCH_OPTION_NAMES, BatchOptions
from ..disposition import Disposition, decode_text
from ..form_part import SNIFF_BYTES
from ..form_reader import option_too_long
from ..known_fields import IGNORED_FIELDS, unknown_field
from ..multipart import MultipartReader
from ..submit_options import listed_names
from .file_collector import FileCollector
from .refusals import FileReason, FileRefusedError

MAX_HEADER_BYTES = 8192
"""Maximum size of one header in bytes. A path of 512 characters takes up to 6,144 bytes, because
each character has up to four bytes, each of which takes three bytes in percent-encoding."""

FILES_FIELD = "files"
"""Name of the documented field, which may be blank if no file was chosen. Files may also be in
fields with other names."""


class FormFiles(MultipartReader):
    """Gives each file of a form to a collector. Other fields are options, or blank.

    Options must come before the files: the ImageBatch is created when the first image is there.

    Raises:
        Problem: While the form is arriving: 400 BadRequest for an invalid form; 422 OptionsInvalid.
    """

    def __init__(self, boundary: bytes, collector: FileCollector) -> None:
        super().__init__(boundary, MAX_HEADER_BYTES)
        self.fields: dict[str, str] = {}
        """Options by name."""
        self._collector = collector
        self._has_files = False
        self._name: str | None = None
        """Name of the field that is arriving; None if it is a file."""
        self._text = BytesIO()
        """The first bytes of the field that is arriving."""

    @property
    def kept_bytes(self) -> int:
        """Number of bytes in memory."""
        return self._collector.kept_bytes

    def _begin_part(self, disposition: Disposition) -> None:
        # A browser sends an empty file without a name if no file was chosen.
        if disposition.file_name:
            self._has_files, self._name = True, None
            self._collector.begin(disposition.file_name)
            return

        self._name, self._text = disposition.name, BytesIO()
        if self._is_option and self._has_files:
            detail = (
                f"The form field {self._name} comes after the first file. Send all options before "
                "the files, or in the query string."
            )
            raise Problem(422, Reason.OPTIONS_INVALID, detail)

    def _write_part(self, data: memoryview) -> None:
        if self._name is None:
            self._collector.write(data)
        elif self._text.tell() <= SNIFF_BYTES:
            self._text.write(data[: SNIFF_BYTES + 1])

    def _end_part(self) -> None:
        if self._name is None:
            self._collector.end()
            return

        data = self._text.getvalue()
        if looks_like_image(data):
            message = "The file has no name. Send it with one (filename), which names its result."
            self._collector.refuse_nameless(FileRefusedError(FileReason.NAME_INVALID, message))
        elif self._is_option and len(data) > SNIFF_BYTES:
            raise option_too_long(self._name)
        elif data.strip():
            self._add_option(self._name, data)

    def _add_option(self, name: str, data: bytes) -> None:
        if self._is_option:
            self.fields[name] = decode_text(data)
        elif name not in IGNORED_FIELDS and name != FILES_FIELD:
            raise unknown_field(name, [FILES_FIELD, *listed_names(BatchOptions)])

    @property
    def _is_option(self) -> bool:
        return self._name in BATCH_OPTION_NAMES
