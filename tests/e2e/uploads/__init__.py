"""Tests of ImageBatches whose images are uploaded over HTTP, on the real system."""
