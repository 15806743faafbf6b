"""What the routes call: jobs, the inbox, health and metrics."""
