"""Still and animated GIF files, both complete and truncated."""

from typing import Any

from pictures import animation, encoded, halves, noise
from PIL import Image

from .case import Case, cut_short, described, failed, part, patched, unreadable

SIZE: dict[str, Any] = {"width": 64, "height": 48, "format": "GIF"}
RED_AND_BLUE = {"red", "blue"}

PLAIN = encoded(halves("P"), "GIF")
NOISE = encoded(noise(320, 200).quantize(64), "GIF")
MOVING = animation("GIF")
WHITE = Image.new("RGB", (64, 48), "white")


def animated(*frames: Image.Image) -> bytes:
    """Return an animated GIF with these frames."""
    first, *rest = frames
    return encoded(first, "GIF", save_all=True, append_images=rest, duration=100, loop=0)


def half_transparent() -> bytes:
    """Return a GIF of the `halves` picture whose right half is transparent."""
    picture = halves("RGBA")
    picture.paste((0, 0, 0, 0), (32, 0, 64, 48))
    return encoded(picture, "GIF")


def many_frames(count: int) -> bytes:
    """Return a GIF with `count` + 1 identical frames of one pixel each."""
    still = encoded(Image.new("P", (1, 1)), "GIF")
    return still[:-1] + count * still[still.index(b",") : -1] + b";"


GIFS: dict[str, Case] = {
    "GIF": described(PLAIN, colors=RED_AND_BLUE, frames=1, **SIZE),
    "GIF, 1987 version": described(
        b"GIF87a" + encoded(halves("P"), "GIF", interlace=0)[6:], **SIZE
    ),
    "GIF interlaced": described(
        encoded(halves("P"), "GIF", interlace=1), colors=RED_AND_BLUE, **SIZE
    ),
    "GIF transparent": described(half_transparent(), transparent=True, colors={"red"}),
    "GIF with a comment": described(encoded(halves("P"), "GIF", comment=b"<b>x</b>" * 20), **SIZE),
    "GIF with one pixel": described(encoded(Image.new("P", (1, 1)), "GIF"), width=1, height=1),
    "GIF followed by junk": described(PLAIN + b"junk" * 1000, **SIZE),
    "GIF animated": described(MOVING, frames=4, animationSeconds=1.0, **SIZE),
    "GIF animation that starts white": described(
        animated(WHITE, halves(), WHITE), "frame 2", frames=3, colors=RED_AND_BLUE
    ),
    "GIF animation that is always black": described(
        animated(*(Image.new("RGB", (64, 48), (n, 0, 0)) for n in range(3))),
        frames=3,
        colors={"black"},
    ),
    "GIF animation that starts with 20 white frames": described(
        animated(
            *(Image.new("RGB", (64, 48), (255, 255, 255 - n % 2)) for n in range(20)), halves()
        ),
        "frame 21",
        frames=21,
        colors=RED_AND_BLUE,
    ),
    "GIF with 100,000 frames": described(
        many_frames(100_000), "10000 or more frames", frames=10_000
    ),
    "GIF without its trailer": cut_short(PLAIN[:-1], colors=RED_AND_BLUE, **SIZE),
    "GIF without its last 1 %": cut_short(part(NOISE, 0.99), width=320, height=200),
    "GIF without its last 30 %": cut_short(part(NOISE, 0.7), width=320, height=200),
    "GIF without its last 70 %": failed(part(NOISE, 0.3), "of the picture is intact"),
    "GIF animation cut off in a later frame": cut_short(
        part(MOVING, 0.8), colors=RED_AND_BLUE, **SIZE
    ),
    "GIF with only a header": failed(PLAIN[:13]),
    "GIF cut off in its header": unreadable(PLAIN[:8], "damaged"),
    "GIF with zero size": described(patched(PLAIN, 6, bytes(4)), colors=RED_AND_BLUE, **SIZE),
    "GIF with a frame larger than its screen": described(patched(PLAIN, 6, b"\1\0\1\0"), **SIZE),
    "GIF with zero size and no frame": unreadable(patched(PLAIN, 6, bytes(4))[:13] + b";", "zero"),
    "GIF with a million empty extensions": failed(PLAIN[:13] + 1_000_000 * b"!x\0"),
    "GIF that claims 4 gigapixels": Case(
        patched(PLAIN, 6, b"\xff\xff\xff\xff"), 413, "ImageTooLarge", ("65535x65535",)
    ),
}
