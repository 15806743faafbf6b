-- The order of GET /batches. Without this index, each page would sort all finished batches.
CREATE INDEX batches_by_creation ON batches (created_at, uid) WHERE finished_at IS NOT NULL;
