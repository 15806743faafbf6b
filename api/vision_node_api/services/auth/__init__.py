"""Determine who sent a request, and what that client may do."""
