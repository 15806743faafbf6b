"""The describer `ocr`: reads printed text, orders its lines and detects its language."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""Since 1.29 onnxruntime sends telemetry unless this is set before it is imported (see its
Privacy.md)."""
