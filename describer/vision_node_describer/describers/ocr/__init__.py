"""Reading printed text: pixels, lines, their order, their language."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""Since 1.29 onnxruntime reports to its maker, unless this is set before it is imported (its
Privacy.md)."""
