"""Fake servers for tests: description providers and S3, with faults on demand, and a proxy."""
