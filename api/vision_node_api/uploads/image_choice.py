"""Finds the image in a form: a part's content decides, not its name."""

from ..web.problems import Problem
from .form_part import Part

IMAGE_FIELDS = ("file", "image")
"""The documented field, and the one that older clients send. An image in one of them takes
precedence over images in other fields, in this order."""

MAX_NAME_CHARACTERS = 40
"""Maximum characters of a field's name that an error quotes."""

_HINT = (
    "Send the image as a file in a form (curl -F file=@photo.jpg), or as the body (Content-Type: "
    "image/jpeg)."
)


def choose_image(parts: list[Part]) -> Part:
    """Return the part that is the image.

    That is the first image in a field named `file`, or else in one named `image`, or else in any
    field. If no part is an image but the client can only have meant one, that part is returned: its
    content is then refused with the name of its format.

    Raises:
        Problem: 400 MissingImage, or TooManyImages: it is unclear which one is meant.
    """
    images = [part for part in parts if part.is_image]
    for field in IMAGE_FIELDS:
        if named := [part for part in images if part.name == field]:
            return _first(named)

    return _first(images) if images else _intended(parts)


def _first(images: list[Part]) -> Part:
    """Return the first image, unless several different files are images."""
    files = [part for part in images if part.is_file]
    if all(other.content.data() == files[0].content.data() for other in files[1:]):
        return images[0]

    fields = ", ".join(map(_quoted_name, files))
    detail = f"The form has {len(files)} images (fields: {fields}). Send one image in each request."
    raise Problem(400, "TooManyImages", detail)


def _intended(parts: list[Part]) -> Part:
    """Return the part that was meant as the image although it is none, if only one can be meant."""
    filled = [part for part in parts if part.content.size and not part.is_option]
    files = [part for part in filled if part.is_file]
    if len(files) == 1:
        return files[0]

    empty = [part for part in parts if part.is_file or part.name in IMAGE_FIELDS]
    if empty and not filled:
        return empty[0]

    fields = "; ".join(map(_summary, parts))
    found = f"No field of the form is an image ({fields})." if parts else "The form is empty."
    raise Problem(400, "MissingImage", f"{found} {_HINT}")


def _summary(part: Part) -> str:
    """Return a few words about a part, such as `'cover': empty file`."""
    kind = "file" if part.is_file else "text"
    size = part.content.size
    return f"{_quoted_name(part)}: " + (f"{kind} of {size} bytes" if size else f"empty {kind}")


def _quoted_name(part: Part) -> str:
    name = "".join(c for c in part.name if c.isprintable())[:MAX_NAME_CHARACTERS]
    return repr(name) if name else "a field without a name"
