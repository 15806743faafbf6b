"""Read a model's answer, which may have any structure."""
