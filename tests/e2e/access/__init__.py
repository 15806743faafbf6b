"""Tests of who may do what, with a release that wants to know who sends a request."""
