"""Read ImageBatches and their results."""
