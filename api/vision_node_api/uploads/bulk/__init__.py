"""Receive many images in one request: as a form, a tar stream or a zip file."""
