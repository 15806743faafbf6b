"""The `ocr` describer, which reads printed text, orders its lines and detects its language."""
