"""Read labels of a submission, such as `team=web,tier=gold`, by the rules of Kubernetes.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_LABELS = 16
"""Maximum number of labels of a submission. Every list of ImageJobs carries all of them."""

RESERVED_DOMAINS = ("vision-node.dev", "kubernetes.io", "k8s.io")
"""Prefixes of labels that have a meaning for vision-node or Kubernetes, with their subdomains. For
example, vision-node.dev/owner decides whose turn it is in the queue."""

MAX_TEXT_CHARACTERS = 6112
"""Maximum length of all labels as text: 16 keys with a prefix of 253 characters, a name of 63 and a
value of 63, and three separators each."""

_MAX_PREFIX_CHARACTERS = 253
_MAX_SHOWN_CHARACTERS = 100
_PART = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(_PART)
_VALUE = re.compile(f"(?:{_PART})?")
_DNS_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_PREFIX = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")

_PART_RULE = (
    "up to 63 letters, digits, '-', '_' and '.', of which the first and the last must be a letter "
    "or a digit"
)


def read_labels(given: object) -> dict[str, str]:
    """Return labels by key, from text such as `team=web,tier=gold` or from a JSON object.

    Raises:
        PydanticCustomError: There are too many labels, or one of them is invalid, which the message
            names.
    """
    if isinstance(given, str):
        labels = _parse(given)
    elif isinstance(given, Mapping):
        labels = dict(given)
    else:
        raise _invalid("write them as text, such as team=web,tier=gold")

    if len(labels) > MAX_LABELS:
        raise _invalid(f"there are {len(labels)} labels, but at most {MAX_LABELS} are allowed")

    for key, value in labels.items():
        _check(key, value)

    return labels


Labels = Annotated[dict[str, str], BeforeValidator(read_labels), WithJsonSchema({"type": "string"})]
"""Type of an option with labels. Its JSON schema is that of the text in forms and queries."""


def _parse(text: str) -> dict[str, str]:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise _invalid(
            f"the text has {len(text)} characters, but at most {MAX_TEXT_CHARACTERS} are allowed"
        )

    labels: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise _invalid(f"{_shown(pair)} is not a label; write KEY=VALUE, separated by commas")
        if key in labels:
            raise _invalid(f"the key {_shown(key)} is given twice")
        labels[key] = value

    return labels


def _check(key: str, value: object) -> None:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= _MAX_PREFIX_CHARACTERS and _PREFIX.fullmatch(prefix)):
        raise _invalid(f"the prefix of the key {_shown(key)} is not a DNS name in lowercase")
    if not _NAME.fullmatch(name):
        raise _invalid(f"the name in the key {_shown(key)} is invalid; it must have {_PART_RULE}")
    if any(f".{prefix}".endswith(f".{domain}") for domain in RESERVED_DOMAINS):
        raise _invalid(f"the prefix of the key {_shown(key)} is reserved; choose another one")

    if not isinstance(value, str):
        raise _invalid(f"the value of {_shown(key)} is not a text")
    if not _VALUE.fullmatch(value):
        raise _invalid(
            f"the value {_shown(value)} of {_shown(key)} is invalid; it must be empty or have "
            f"{_PART_RULE}"
        )


def _shown(text: str) -> str:
    """Return a quoted text, without its end if it is too long for a message."""
    is_long = len(text) > _MAX_SHOWN_CHARACTERS
    return repr(text[:_MAX_SHOWN_CHARACTERS] + "…" if is_long else text)


def _invalid(why: str) -> PydanticCustomError:
    return PydanticCustomError("label", "{why}", {"why": why})
