"""Tests of requests that wait for a job (`Prefer: wait`), with several replicas of the API."""
