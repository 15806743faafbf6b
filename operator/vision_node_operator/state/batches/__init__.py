"""ImageBatches and their shards as last observed, and what the operator knows about their pace."""
