"""Act on jobs: cancel, delete and retry them."""
