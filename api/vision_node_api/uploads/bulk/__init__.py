"""Receive many images in one request."""
