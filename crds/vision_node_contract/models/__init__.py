"""Typed models that all components share: ImageJob, Describer, descriptions and reasons."""
