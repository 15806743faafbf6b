"""Tests of the options of a submission: labels, priority and reuse."""
