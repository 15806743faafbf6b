-- Messages to the callbacks of jobs and batches that have ended. A row lives as long as that of its job.
CREATE TABLE deliveries (
    -- The id of the message (the header webhook-id). It follows from the uid, so it is the same even if
    -- the row is written again after the database was restored.
    id uuid PRIMARY KEY,
    -- The uid of the ImageJob or ImageBatch. Each has one message at most.
    uid uuid NOT NULL UNIQUE,
    is_batch boolean NOT NULL,
    -- The value of the label vision-node.dev/owner; empty without one.
    owner text NOT NULL DEFAULT '',
    -- Host and port of the URL, in lowercase; '-' if the URL is invalid. Hosts take turns.
    host text NOT NULL,
    url text NOT NULL,
    event text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Number of attempts that have begun.
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Until when an attempt may still be going on, so that no other one begins.
    claimed_until timestamptz,
    -- HTTP status of the last response; null if there was none.
    last_status int,
    -- A short sentence about the last attempt; null if it succeeded. It never quotes a response.
    last_error text,
    delivered_at timestamptz
);

CREATE INDEX deliveries_by_host ON deliveries (host, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_age ON deliveries (created_at) WHERE state = 'pending';
