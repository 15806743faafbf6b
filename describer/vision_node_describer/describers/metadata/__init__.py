"""The `metadata` describer, which reports measurable properties such as size, format and colors."""
