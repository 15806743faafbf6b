"""Generate the singular and plural forms of a thing's name, to look for them in a sentence."""

import re

_IRREGULAR = {
    "person": "people",
    "mouse": "mice",
    "goose": "geese",
    "ox": "oxen",
    "wolf": "wolves",
    "knife": "knives",
    "shelf": "shelves",
    "calf": "calves",
    "loaf": "loaves",
    "sheep": "sheep",
    "fish": "fish",
    "deer": "deer",
    "bison": "bison",
    "cattle": "cattle",
}

_JOINTS = re.compile(r" or | of ")
"""Words that separate the parts of a name, as in "boat or ship" and "glass of beer"."""


def forms(name: str) -> set[str]:
    """Return the singular and the possible plurals of a name, in lower case."""
    name = name.casefold()
    joints, parts = _JOINTS.findall(name), _JOINTS.split(name)
    if not joints:
        return {name, _plural(name)}
    if joints == [" of "]:
        return {name, f"{_plural(parts[0])} of {parts[1]}"}
    return {name, " or ".join(map(_plural, parts)) if " of " not in joints else _plural(name)}


def _plural(name: str) -> str:
    *rest, last = name.split(" ")
    return " ".join([*rest, _IRREGULAR.get(last) or _regular(last)])


def _regular(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}s"
