"""ImageBatches and their shards as last observed, and the speed of shards."""
