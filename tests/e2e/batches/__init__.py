"""Tests of ImageBatches with kubectl and the API, on the real system."""
