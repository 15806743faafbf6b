"""The describer `http`: a container of your own beside the worker."""
