-- What each owner has used. Each row of images is counted once, in the transaction that writes it,
-- and stays counted after it is deleted. Rows of earlier releases are not counted.
CREATE TABLE usage (
    -- The day in UTC on which the images have ended; for images of batches, were archived.
    day date NOT NULL,
    -- The value of the label vision-node.dev/owner; empty without one.
    owner text NOT NULL,
    describer text NOT NULL,
    images bigint NOT NULL,
    -- Number of the images that have failed.
    failed bigint NOT NULL,
    -- Size of the images.
    bytes bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    PRIMARY KEY (day, owner, describer)
)
-- The few rows of today change with each transaction, so their pages need room for new versions.
WITH (fillfactor = 50);

CREATE INDEX usage_by_owner ON usage (owner, day DESC, describer);
