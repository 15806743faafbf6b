"""Describers that call a provider or a container beside the worker."""
