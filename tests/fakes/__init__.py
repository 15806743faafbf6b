"""Fake servers with the protocols of description providers and of S3, with faults on demand."""
