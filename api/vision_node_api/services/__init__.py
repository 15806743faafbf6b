"""The API's services: jobs, results, the inbox, health and metrics."""
