"""Shared code of describers that call a remote service or a container beside the worker."""
