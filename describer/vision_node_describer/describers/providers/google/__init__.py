"""The `google` describer, which uses Google Cloud Vision."""
