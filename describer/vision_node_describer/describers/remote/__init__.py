"""What all describers share that ask a remote service or a container beside the worker."""
