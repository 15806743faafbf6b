"""What describers share that ask somebody else: a provider, or a container beside the worker."""
