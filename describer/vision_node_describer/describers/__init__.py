"""Describers turn image files into descriptions. They know nothing about Kubernetes or storage."""

from .interface import Describer, Remote, Setup
from .registry import DESCRIBERS, FailingDescriber, load, load_or_explain

__all__ = [
    "DESCRIBERS",
    "Describer",
    "FailingDescriber",
    "Remote",
    "Setup",
    "load",
    "load_or_explain",
]
