"""Odd image files, each with its exact outcome: made here by Pillow and struct, the same on every machine."""

from .bmps import BMPS
from .case import Case
from .containers import CONTAINERS
from .foreign import FOREIGN
from .gifs import GIFS
from .jpegs import JPEGS
from .pngs import PNGS
from .profiles import PROFILES
from .tiffs import TIFFS
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
    **FOREIGN,
}
