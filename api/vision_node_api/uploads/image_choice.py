"""Find the image in a form by its content, because the image may be in a field with any name."""

from ..web.problems import Problem
from ..web.unknown_names import quoted_name
from .form_part import Part

IMAGE_FIELDS = ("file", "image")
"""Names of the documented field and of the field that older clients send. Images in these fields,
in this order, take precedence over images in other fields."""

_HINT = (
    "Send the image as a file in a form (curl -F file=@photo.jpg), or as the body (Content-Type: "
    "image/jpeg)."
)


def choose_image(parts: list[Part]) -> Part:
    """Return the part that is the image.

    This is the first image in a field named `file`, or else in a field named `image`, or else in
    any field. If no part is an image, but it is clear which part the client meant, that part is
    returned. The inspection of its content then fails with an error that names its format.

    Raises:
        Problem: 400 MissingImage, or 400 TooManyImages if it is unclear which image is meant.
    """
    images = [part for part in parts if part.is_image]
    for field in IMAGE_FIELDS:
        if named := [part for part in images if part.name == field]:
            return _first(named)

    return _first(images) if images else _intended(parts)


def _first(images: list[Part]) -> Part:
    """Return the first image, or refuse the form if its files contain different images."""
    files = [part for part in images if part.is_file]
    if all(other.content.data() == files[0].content.data() for other in files[1:]):
        return images[0]

    fields = ", ".join(map(_quoted_name, files))
    detail = f"The form has {len(files)} images (fields: {fields}). Send one image in each request."
    raise Problem(400, "TooManyImages", detail)


def _intended(parts: list[Part]) -> Part:
    """Return the only part that the client could have meant, even though it is not an image."""
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
    """Return a short description of a part, such as `'cover': empty file`."""
    kind = "file" if part.is_file else "text"
    size = part.content.size
    return f"{_quoted_name(part)}: " + (f"{kind} of {size} bytes" if size else f"empty {kind}")


def _quoted_name(part: Part) -> str:
    return quoted_name(part.name) if part.name else "a field without a name"
