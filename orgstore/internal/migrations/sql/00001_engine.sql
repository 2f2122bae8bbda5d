-- The engine's tables. The SQL keeps to what SQLite and PostgreSQL share. Instants are microseconds since 1970, booleans 0 or
-- 1, metadata a JSON object, permissions separated by spaces. All names begin with orgauthz_, because an embedder may keep
-- tables of its own in the same database.

-- +goose Up

-- One row: what is counted for the whole store, and the newest position and time of a change.
CREATE TABLE orgauthz_meta (
    id            SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
    position      BIGINT   NOT NULL,
    clock         BIGINT   NOT NULL,
    organizations BIGINT   NOT NULL
);
INSERT INTO orgauthz_meta (id, position, clock, organizations) VALUES (1, 0, 0, 0);

-- The revision of everything whose change can change an answer. Rows are never deleted: what is made again continues.
CREATE TABLE orgauthz_scopes (
    kind     SMALLINT NOT NULL,
    org      TEXT     NOT NULL,
    id       TEXT     NOT NULL,
    revision BIGINT   NOT NULL,
    position BIGINT   NOT NULL,
    PRIMARY KEY (kind, org, id)
);
CREATE INDEX orgauthz_scopes_position ON orgauthz_scopes (position);

-- One row per raised scope; the rows of one transaction share change_id. Append only.
CREATE TABLE orgauthz_events (
    id          TEXT     NOT NULL PRIMARY KEY,
    change_id   TEXT     NOT NULL,
    type        TEXT     NOT NULL,
    org         TEXT     NOT NULL,
    scope_kind  SMALLINT NOT NULL,
    scope_org   TEXT     NOT NULL,
    scope_id    TEXT     NOT NULL,
    revision    BIGINT   NOT NULL,
    actor       TEXT     NOT NULL,
    before_json TEXT,
    after_json  TEXT,
    created_at  BIGINT   NOT NULL
);
CREATE INDEX orgauthz_events_org ON orgauthz_events (org, id);
CREATE UNIQUE INDEX orgauthz_events_scope ON orgauthz_events (scope_kind, scope_org, scope_id, revision);

-- A deleted organization keeps its row, so that its id is never given again. members counts rows of orgauthz_members.
CREATE TABLE orgauthz_organizations (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    display_name TEXT   NOT NULL,
    status       TEXT   NOT NULL,
    metadata     TEXT   NOT NULL,
    members      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    deleted_at   BIGINT
);
CREATE UNIQUE INDEX orgauthz_organizations_name ON orgauthz_organizations (name) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_left ON orgauthz_organizations (id) WHERE deleted_at IS NOT NULL AND members > 0;

CREATE TABLE orgauthz_users (
    id         TEXT     NOT NULL PRIMARY KEY,
    email      TEXT     NOT NULL,
    name       TEXT     NOT NULL,
    blocked    SMALLINT NOT NULL,
    created_at BIGINT   NOT NULL,
    updated_at BIGINT   NOT NULL
);

-- A deleted role keeps its row, so that its id is never given again.
CREATE TABLE orgauthz_roles (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    permissions TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);
CREATE UNIQUE INDEX orgauthz_roles_name ON orgauthz_roles (name) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_roles_deleted ON orgauthz_roles (id) WHERE deleted_at IS NOT NULL;

CREATE TABLE orgauthz_members (
    org_id     TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    user_id    TEXT   NOT NULL REFERENCES orgauthz_users (id),
    kind       TEXT   NOT NULL,
    metadata   TEXT   NOT NULL,
    joined_by  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX orgauthz_members_user ON orgauthz_members (user_id, org_id);

CREATE TABLE orgauthz_member_roles (
    org_id  TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role_id TEXT NOT NULL REFERENCES orgauthz_roles (id),
    PRIMARY KEY (org_id, user_id, role_id),
    FOREIGN KEY (org_id, user_id) REFERENCES orgauthz_members (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX orgauthz_member_roles_role ON orgauthz_member_roles (role_id);
