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

# Since version 1.29, onnxruntime sends telemetry unless this is set before the import (see its
# Privacy.md). onnxruntime is imported only when load() imports a describer's module.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# numpy's linear algebra starts a thread for each of the node's cores when numpy is imported. The
# describers don't need these threads: their arrays are small, and each picture has its own thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
