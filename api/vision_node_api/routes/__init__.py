"""HTTP routes, which only translate requests and responses. The services make the decisions."""
