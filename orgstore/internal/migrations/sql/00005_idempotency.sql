-- What mutations with an idempotency key did, so that a repeated call is answered instead of done again.

-- +goose Up

-- call is a hash of the operation and its arguments; result the JSON of what was done, empty until it is.
CREATE TABLE orgauthz_idempotency (
    actor      TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    call       TEXT   NOT NULL,
    result     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX orgauthz_idempotency_created ON orgauthz_idempotency (created_at);
