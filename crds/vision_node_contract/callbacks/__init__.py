"""Callbacks (webhooks): which URLs they may have, and what is sent to them."""
