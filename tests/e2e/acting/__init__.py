"""Tests of cancelling, retrying and deleting jobs."""
