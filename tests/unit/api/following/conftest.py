"""Fixtures for the tests of streams of events: both watches have listed their objects."""

import pytest
from event_reader import Feed
from fastapi import FastAPI
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs


@pytest.fixture
def feed(app: FastAPI, jobs: Jobs, batches: Batches) -> Feed:
    """Both watches, which have listed no objects at resourceVersion 100."""
    feed = Feed(app, jobs, batches)
    feed.list_jobs(100)
    feed.list_batches(100)
    return feed
