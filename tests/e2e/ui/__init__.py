"""Tests of the web page in a real browser and with the real system."""
