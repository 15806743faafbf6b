"""Tests of releases that need API keys."""
