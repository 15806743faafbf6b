"""Fake servers for tests: description providers, an S3 service and an HTTP proxy."""
