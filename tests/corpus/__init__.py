"""Unusual image files and their exact outcomes. Every machine generates the same files."""

from .bmps import BMPS
from .case import Case
from .containers import CONTAINERS
from .gifs import GIFS
from .jpegs import JPEGS
from .pngs import PNGS
from .profiles import PROFILES
from .tiffs import TIFFS
from .unsupported_formats import UNSUPPORTED
from .webps import WEBPS

CASES: dict[str, Case] = {
    **JPEGS,
    **PNGS,
    **WEBPS,
    **GIFS,
    **BMPS,
    **TIFFS,
    **CONTAINERS,
    **PROFILES,
    **UNSUPPORTED,
}
