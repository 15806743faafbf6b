"""Tests of webhooks on the real system."""
