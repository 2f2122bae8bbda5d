-- What the change feed needs: which life of the database's history this is, where events became visible and up to where they
-- have been pruned; and what events say of a request and of what was acted on.

-- +goose Up

-- epoch is random, and another one for each life. cluster is the server that positions were counted by.
ALTER TABLE orgauthz_meta ADD COLUMN epoch TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_meta ADD COLUMN cluster TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_meta ADD COLUMN pruned_position BIGINT NOT NULL DEFAULT -1;
ALTER TABLE orgauthz_meta ADD COLUMN pruned_id TEXT NOT NULL DEFAULT '';

ALTER TABLE orgauthz_events ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_events ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_events ADD COLUMN impersonator TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_events ADD COLUMN target TEXT NOT NULL DEFAULT '';
UPDATE orgauthz_events SET target = scope_id;
CREATE INDEX orgauthz_events_position ON orgauthz_events (position);
CREATE INDEX orgauthz_events_type ON orgauthz_events (type, id);
CREATE INDEX orgauthz_events_target ON orgauthz_events (target, id);
CREATE INDEX orgauthz_events_actor ON orgauthz_events (actor, id) WHERE actor <> '';
