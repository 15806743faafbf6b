"""Describers turn image files into descriptions. They know nothing about Kubernetes or storage."""

import os

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

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Since version 1.29, onnxruntime sends telemetry unless this is set before the import (see its
# Privacy.md). A describer's module, and with it onnxruntime, is imported later, by load().
