"""The `ocr` describer, which reads printed text, orders its lines and detects its language."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""Since version 1.29, onnxruntime sends telemetry unless this is set before the import (see its
Privacy.md)."""
