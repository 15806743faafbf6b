"""Measure ImageBatches: 2,000 photographs beside Celery, and 100,000 images or more alone."""
