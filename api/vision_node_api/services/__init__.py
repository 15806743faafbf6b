"""What the API does: jobs, results, the inbox, health and metrics."""
