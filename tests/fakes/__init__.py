"""Servers that speak the protocols of description providers, with faults on demand. They look at nothing."""
