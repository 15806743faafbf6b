"""The objects that all rooms share, as typed Python: ImageJob, Describer, descriptions, reasons."""
