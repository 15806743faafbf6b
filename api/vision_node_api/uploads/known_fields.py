"""Refuse form fields that are unknown, because they may be misspelled options."""

from collections.abc import Collection, Iterable

from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from ..web.unknown_names import unknown_name
from .form_part import Part
from .image_choice import IMAGE_FIELDS

IGNORED_FIELDS = frozenset({"", "_charset_", "MAX_FILE_SIZE", "submit"})
"""Fields that no one fills in: browsers send `_charset_` (HTML standard, 4.10.19.1), and a submit
button that has a name, which is `submit` in most examples; forms for PHP have `MAX_FILE_SIZE`. A
field without a name can't be a misspelled option."""


def require_known_fields(parts: Iterable[Part], image: Part, options: Collection[str]) -> None:
    """Refuse a form with an unknown text field.

    Blank fields are ignored, because browsers send all inputs of a form. Files are ignored, too:
    the image may be in a field with any name, and other files may be next to it.

    Args:
        parts: All parts of the form.
        image: The part that is the image.
        options: Names of the options that the route accepts, in the order in which they are listed.

    Raises:
        Problem: 422 OptionsInvalid.
    """
    ignored = {*IGNORED_FIELDS, *IMAGE_FIELDS, image.name}
    for part in parts:
        is_text = not part.is_file and not part.is_image and part.content.data().strip()
        if is_text and part.name not in ignored and not part.is_option:
            raise unknown_field(part.name, [IMAGE_FIELDS[0], *options])


def unknown_field(name: str, known: Collection[str]) -> Problem:
    """Return the problem for an unknown form field."""
    return Problem(422, Reason.OPTIONS_INVALID, unknown_name("form field", name, known))
