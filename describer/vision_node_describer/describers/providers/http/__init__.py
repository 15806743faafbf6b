"""The describer `http`: a user's container beside the worker."""
