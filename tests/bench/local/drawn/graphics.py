"""Draw graphics: a logo, icons, a diagram, plain colors, gradients and noise."""

import random

from pictures import gradient, logo, noise
from PIL import Image, ImageDraw, ImageFilter
from printed import font

from bench.local.drawn.drawing import Drawing

_GRAPHIC = frozenset({"graphic", "drawing"})
_ABSTRACT = frozenset({"graphic", "drawing", "pattern"})
_SHAPES = frozenset({"logo", "icon", "circle", "triangle", "diagram", "arrow"})


def _icon() -> Image.Image:
    """Return a white check mark on a green disc, on a transparent background."""
    picture = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((16, 16, 240, 240), fill="#2e7d32")
    draw.line((76, 132, 114, 172, 184, 92), fill="white", width=22, joint="curve")
    return picture


def _menu_icon() -> Image.Image:
    """Return three dark bars on a transparent background."""
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    for top in (14, 29, 44):
        draw.rounded_rectangle((8, top, 56, top + 6), 3, fill="#424242")
    return picture


def _diagram() -> Image.Image:
    picture = Image.new("RGB", (1000, 420), "white")
    draw, face = ImageDraw.Draw(picture), font("Roboto", 22)
    for index, title in enumerate(("Browser", "Server", "Queue", "Worker")):
        left = 40 + 245 * index
        draw.rounded_rectangle((left, 150, left + 170, 250), 14, fill="#e3f2fd", outline="#1565c0")
        draw.text((left + 45, 186), title, font=face, fill="black")
        if index:
            draw.line((left - 75, 200, left - 8, 200), fill="#1565c0", width=4)
            draw.polygon([(left - 18, 190), (left, 200), (left - 18, 210)], fill="#1565c0")

    return picture


def _house() -> Image.Image:
    """Return a child's drawing of a house."""
    picture = Image.new("RGB", (640, 480), "#dff3ff")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 380, 640, 480), fill="#7cb342")
    draw.rectangle((200, 220, 440, 400), fill="#ffcc80", outline="black", width=5)
    draw.polygon([(170, 220), (320, 100), (470, 220)], fill="#c62828", outline="black")
    draw.rectangle((290, 300, 350, 400), fill="#6d4c41", outline="black", width=4)
    draw.rectangle((225, 250, 275, 295), fill="white", outline="black", width=4)
    draw.ellipse((520, 40, 600, 120), fill="#ffeb3b", outline="#f9a825", width=4)
    return picture


def _stripes() -> Image.Image:
    picture = Image.new("RGB", (800, 600), "#fafafa")
    draw = ImageDraw.Draw(picture)
    for left in range(0, 800, 40):
        draw.rectangle((left, 0, left + 19, 600), fill="#1a237e")
    return picture


def _clouds() -> Image.Image:
    """Return soft spots of random colors, without any shape."""
    cells = Image.frombytes("RGB", (8, 6), random.Random(9).randbytes(144))  # noqa: S311
    return cells.resize((800, 600), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(20))


GRAPHICS = {
    "logo": Drawing(logo, _GRAPHIC, _SHAPES),
    "transparent icon": Drawing(_icon, _GRAPHIC, _SHAPES | {"check mark"}),
    "small transparent icon": Drawing(_menu_icon, _GRAPHIC, _SHAPES),
    "diagram": Drawing(_diagram, _GRAPHIC | {"chart"}, _SHAPES),
    "drawn house": Drawing(
        _house, _GRAPHIC, frozenset({"house", "building", "barn", "sun", "birdhouse", "mailbox"})
    ),
    "plain color": Drawing(lambda: Image.new("RGB", (640, 480), "#3366cc"), _ABSTRACT),
    "black": Drawing(lambda: Image.new("RGB", (1920, 1080)), _ABSTRACT, format="JPEG"),
    "gradient": Drawing(gradient, _ABSTRACT),
    "noise": Drawing(lambda: noise(640, 480), _ABSTRACT),
    "soft colors": Drawing(_clouds, _ABSTRACT),
    "stripes": Drawing(_stripes, _ABSTRACT, frozenset({"stripe"})),
}
