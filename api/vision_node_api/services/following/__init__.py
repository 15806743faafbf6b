"""Follow jobs and batches: send each new state to the clients that wait for it."""
