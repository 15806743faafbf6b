"""Code shared by describers that call a remote service or a container beside the worker."""
