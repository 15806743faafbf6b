-- The tables of the history. vision_node_contract/history/schema.py describes them.

CREATE TABLE owner (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- The uid of the identity ConfigMap of the release that the schema belongs to.
    uid text NOT NULL,
    -- Number of rows that were ever written to images, and of marks of evictions. The archiver keeps
    -- a copy in the bucket: if this number is lower, the database was restored from a backup.
    written bigint NOT NULL DEFAULT 0,
    -- The newest resourceVersion of an archived ImageJob. If the API server's is lower, etcd was
    -- restored from a backup.
    resource_version bigint NOT NULL DEFAULT 0
);

-- A chunk has the images with `starts_at` <= `at` < `starts_at` of the next chunk.
CREATE TABLE chunks (
    id int PRIMARY KEY,
    starts_at timestamptz NOT NULL UNIQUE,
    rows bigint NOT NULL DEFAULT 0,
    -- The greatest `at` that was ever written to the chunk.
    last_at timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO chunks (id, starts_at) VALUES (0, '-infinity');

CREATE TABLE images (
    -- The uid of the ImageJob, or of the ImageBatch.
    uid uuid NOT NULL,
    -- The image's index in its ImageBatch; -1 for the image of an ImageJob.
    image_index int NOT NULL DEFAULT -1,
    -- The time by which images are listed: the creation of the ImageJob. An image of a batch has the
    -- time when it was archived.
    at timestamptz NOT NULL,
    -- The name of the ImageJob or ImageBatch.
    name text NOT NULL,
    custom_id text,
    -- The value of the label vision-node.dev/owner; empty without one.
    owner text NOT NULL DEFAULT '',
    describer text NOT NULL,
    phase text NOT NULL CHECK (phase IN ('done', 'failed')),
    -- The reason of the error if the phase is failed.
    reason text,
    -- The ImageJob as JSON, without its inline result; or the line of a batch's results, without the
    -- result. Text, because PostgreSQL's JSON types refuse some characters.
    body text NOT NULL,
    -- What lists show, as JSON: the caption, the alternative text and so on. Unlike other texts, it is
    -- stored in the row itself.
    excerpt text NOT NULL,
    -- The complete result as JSON; null if there is none, if it is too large, or if it was refused.
    result text,
    -- Why the row lacks the result and the words; null if it lacks nothing.
    archive_error text,
    -- The words of the image, each with the number of its chunk.
    search tsvector NOT NULL,
    PRIMARY KEY (uid, image_index)
);

-- Large texts are stored apart, so that lists and searches read few pages.
ALTER TABLE images SET (toast_tuple_target = 512);
ALTER TABLE images ALTER excerpt SET STORAGE MAIN;

-- Single images are those with image_index < 0, which is -1. Only lists of all owners say = -1, so that
-- the planner can use the index of times for no other statement: for an owner whose images are all
-- old, or for the name of a batch, it would have to read nearly all rows.
CREATE INDEX images_by_time ON images (at DESC, uid DESC) WHERE image_index = -1;
CREATE INDEX images_by_owner ON images (owner, at DESC, uid DESC) WHERE image_index < 0;
CREATE INDEX images_by_name ON images (name) WHERE image_index < 0;
-- Without fastupdate, searches have no list of pending entries to read.
CREATE INDEX images_by_word ON images USING gin (search) WITH (fastupdate = off);

CREATE TABLE jobs (
    uid uuid PRIMARY KEY,
    name text NOT NULL,
    finished_at timestamptz NOT NULL,
    -- When the data is to be deleted; null if the release's default time to live applies.
    expires_at timestamptz,
    -- When the ImageJob was deleted from etcd, while its data stays; null as long as it exists.
    evicted_at timestamptz,
    -- The key of the image; null if it is not deleted with the job, or was deleted already.
    image_key text,
    -- The key of the result if it is too large for a row, or could not be read.
    result_key text
);

CREATE INDEX jobs_in_etcd ON jobs (uid) WHERE evicted_at IS NULL;
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE expires_at IS NULL;
CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_with_image ON jobs (finished_at) WHERE image_key IS NOT NULL;
CREATE INDEX jobs_by_image ON jobs USING hash (image_key) WHERE image_key IS NOT NULL;

CREATE TABLE batches (
    uid uuid PRIMARY KEY,
    name text NOT NULL,
    owner text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    -- Null until the batch is finished.
    finished_at timestamptz,
    expires_at timestamptz,
    evicted_at timestamptz,
    -- Number of index objects whose results are in images.
    archived_index int NOT NULL DEFAULT 0,
    -- The ImageBatch as JSON.
    body text NOT NULL
);

CREATE INDEX batches_by_name ON batches (name);
CREATE INDEX batches_in_etcd ON batches (uid) WHERE evicted_at IS NULL;
CREATE INDEX batches_by_end ON batches (finished_at);

CREATE TABLE tombstones (
    uid uuid PRIMARY KEY,
    -- Whether it is an ImageBatch, not an ImageJob.
    is_batch boolean NOT NULL DEFAULT false,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    -- When the archiver has deleted the data; null until then.
    cleaned_at timestamptz
);

CREATE INDEX tombstones_by_age ON tombstones (deleted_at);
CREATE INDEX tombstones_to_clean ON tombstones (uid) WHERE cleaned_at IS NULL;
