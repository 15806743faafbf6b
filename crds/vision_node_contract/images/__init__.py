"""Recognize the formats of image files and read their headers, without decoding any pixels."""
