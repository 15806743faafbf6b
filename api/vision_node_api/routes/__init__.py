"""HTTP routes, which translate requests and responses, and leave decisions to the services."""
