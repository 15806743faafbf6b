"""The `http` describer, which sends pictures to a user's container beside the worker."""
