"""Formats and headers of image files, read without decoding any pixels."""
