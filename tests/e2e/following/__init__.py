"""Tests of streams of events, with several replicas that stop or are killed."""
