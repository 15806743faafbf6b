"""The describer `google`: Google Cloud Vision."""
