"""Write a web page with all pictures, their descriptions, and verdicts on the statements."""

import base64
import html
import io
from collections.abc import Sequence

import pillow_heif
from PIL import Image, ImageOps

from bench.local.judge import Judged, Verdict, worst
from bench.local.statements import Statement
from bench.local.truth import Group

pillow_heif.register_heif_opener()

THUMBNAIL = (240, 180)

_COLORS = {Verdict.SPECIFIC: "#b7e4c7", Verdict.RIGHT: "#e2efda", Verdict.WRONG: "#f8b4b4"}

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>What local says</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2rem; max-width: 70rem }
article { display: flex; gap: 1rem; border-top: 1px solid #ccc; padding: 0.8rem 0 }
figure { margin: 0; flex: 0 0 240px; background: #f2f2f2; text-align: center }
p { margin: 0 0 0.4rem }
small { color: #555 }
span { border-radius: 4px; padding: 0 0.4em; margin-right: 0.3em }
</style>
<h1>What <code>local</code> says</h1>
<p>Dark green is right and specific, light green is right, red is wrong.
The worst descriptions come first.</p>
"""


def page(judged: Sequence[Judged]) -> str:
    """Return the page, with the worst descriptions first in each group."""
    parts = [_HEAD]
    for group in Group:
        members = [one for one in judged if one.sample.group is group]
        first = worst(members, len(members))
        rest = [one for one in members if one not in first]
        parts.append(f"<h2>{group.capitalize()}: {len(members)}</h2>")
        parts += [_article(one) for one in (*first, *rest)]

    return "\n".join(parts)


def _article(one: Judged) -> str:
    truth = one.sample.truth
    held_out = ", held out" if one.sample.held_out else ""
    chips = "".join(_chip(statement, verdict) for statement, verdict in one.verdicts.items())
    counts = {name: truth.count(name) for name in sorted(truth.counts)}
    return (
        f"<article><figure>{_thumbnail(one.sample.load())}</figure><div>"
        f"<p>{html.escape(one.said)}</p><p>{chips}</p>"
        f"<p><small>{html.escape(one.sample.name)}{held_out}, {one.seconds:.2f} s<br>"
        f"must: {_list(truth.must)}; may: {_list(truth.may)}; kinds: {_list(truth.kinds)}; "
        f"outdoors: {truth.outdoors}; counts: {html.escape(str(counts))}</small></p>"
        "</div></article>"
    )


def _chip(statement: Statement, verdict: Verdict) -> str:
    number = "" if statement.count is None else f" × {statement.count}"
    words = f"{statement.sort}: {statement.name}{number}{' or more' * statement.at_least}"
    return f'<span style="background: {_COLORS[verdict]}">{html.escape(words)}</span>'


def _list(names: frozenset[str]) -> str:
    return html.escape(", ".join(sorted(names))) or "–"


def _thumbnail(image: bytes) -> str:
    with Image.open(io.BytesIO(image)) as picture:
        small = ImageOps.exif_transpose(picture).convert("RGBA")
    small.thumbnail(THUMBNAIL)

    # Use a gray background for transparent pixels, so that black and white drawings are visible.
    background = Image.new("RGBA", small.size, "#d0d0d0")
    buffer = io.BytesIO()
    Image.alpha_composite(background, small).convert("RGB").save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'
