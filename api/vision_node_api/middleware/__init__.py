"""ASGI middleware, which handles all requests, regardless of their routes."""
