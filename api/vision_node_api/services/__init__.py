"""The API's services for jobs, results, the inbox, health and metrics."""
