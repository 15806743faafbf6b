"""Tests of the images and thumbnails of jobs."""
