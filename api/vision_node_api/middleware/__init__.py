"""ASGI middleware: what concerns every request, whichever route it is for."""
