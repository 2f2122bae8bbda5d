-- The time of a scope's newest change. It makes the times and ids of events sort in the order of the changes where there is no
-- one clock for all of them, and several nodes with clocks of their own.

-- +goose Up

ALTER TABLE orgauthz_scopes ADD COLUMN clock BIGINT NOT NULL DEFAULT 0;
