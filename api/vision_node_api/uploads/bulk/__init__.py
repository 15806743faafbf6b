"""Read uploads of many images: their file names."""
