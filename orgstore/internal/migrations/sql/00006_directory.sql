-- The directory: connections, applications, APIs, identities of users and the settings of the tenant. Columns named settings are
-- JSON objects: the thing as interfaces show it.

-- +goose Up

-- A deleted connection keeps its row. domains are separated by spaces; orgauthz_connection_domains holds them again, to be found by.
CREATE TABLE orgauthz_connections (
    id                TEXT     NOT NULL PRIMARY KEY,
    name              TEXT     NOT NULL,
    strategy          TEXT     NOT NULL,
    display_name      TEXT     NOT NULL,
    domains           TEXT     NOT NULL,
    signup            SMALLINT NOT NULL,
    domain_connection SMALLINT NOT NULL,
    isolated          SMALLINT NOT NULL,
    created_at        BIGINT   NOT NULL,
    updated_at        BIGINT   NOT NULL,
    deleted_at        BIGINT
);
CREATE UNIQUE INDEX orgauthz_connections_name ON orgauthz_connections (name) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_connections_created ON orgauthz_connections (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_connections_strategy ON orgauthz_connections (strategy, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_connections_deleted ON orgauthz_connections (id) WHERE deleted_at IS NOT NULL;
CREATE TABLE orgauthz_connection_domains (
    domain        TEXT NOT NULL,
    connection_id TEXT NOT NULL REFERENCES orgauthz_connections (id),
    PRIMARY KEY (domain, connection_id)
);
CREATE INDEX orgauthz_connection_domains_connection ON orgauthz_connection_domains (connection_id);

-- A deleted application keeps its row, so that its id is never given again. secret is a SHA-256 in hexadecimal, empty for none.
CREATE TABLE orgauthz_clients (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    settings   TEXT   NOT NULL,
    secret     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX orgauthz_clients_id ON orgauthz_clients (id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_clients_name ON orgauthz_clients (name, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_clients_created ON orgauthz_clients (created_at, id) WHERE deleted_at IS NULL;

-- Which applications use a connection; that belongs to the connection.
CREATE TABLE orgauthz_connection_clients (
    connection_id TEXT NOT NULL REFERENCES orgauthz_connections (id),
    client_id     TEXT NOT NULL REFERENCES orgauthz_clients (id),
    PRIMARY KEY (connection_id, client_id)
);
CREATE INDEX orgauthz_connection_clients_client ON orgauthz_connection_clients (client_id, connection_id);

CREATE TABLE orgauthz_apis (
    identifier TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    settings   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX orgauthz_apis_name ON orgauthz_apis (name, identifier);
CREATE INDEX orgauthz_apis_created ON orgauthz_apis (created_at, identifier);
-- An API that changes its permissions, or ends, looks for the roles that have some.
CREATE INDEX orgauthz_roles_apis ON orgauthz_roles (id) WHERE api_permissions <> '{}' AND deleted_at IS NULL;

-- name_key and email_key are in lower case, to be searched.
ALTER TABLE orgauthz_users ADD COLUMN email_verified SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_users ADD COLUMN picture TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_users ADD COLUMN app_metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE orgauthz_users ADD COLUMN user_metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE orgauthz_users ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_users ADD COLUMN email_key TEXT NOT NULL DEFAULT '';
CREATE INDEX orgauthz_users_name_key ON orgauthz_users (name_key);
CREATE INDEX orgauthz_users_email_key ON orgauthz_users (email_key);
CREATE INDEX orgauthz_users_blocked ON orgauthz_users (id) WHERE blocked = 1;
CREATE INDEX orgauthz_users_blocked_name ON orgauthz_users (name, id) WHERE blocked = 1;
CREATE INDEX orgauthz_users_blocked_created ON orgauthz_users (created_at, id) WHERE blocked = 1;

-- An identity is an account at a connection; those of one user are in the order of number. origin is the id of the user that it was
-- before it was linked, and becomes again when it is unlinked. email_key is the e-mail in lower case in a database connection, and
-- empty elsewhere.
CREATE TABLE orgauthz_identities (
    connection_id  TEXT     NOT NULL REFERENCES orgauthz_connections (id),
    id             TEXT     NOT NULL,
    user_id        TEXT     NOT NULL REFERENCES orgauthz_users (id),
    number         INTEGER  NOT NULL,
    origin         TEXT     NOT NULL,
    email          TEXT     NOT NULL,
    email_verified SMALLINT NOT NULL,
    email_key      TEXT     NOT NULL,
    PRIMARY KEY (connection_id, id)
);
CREATE INDEX orgauthz_identities_user ON orgauthz_identities (user_id, number);
CREATE UNIQUE INDEX orgauthz_identities_email ON orgauthz_identities (connection_id, email_key) WHERE email_key <> '';

-- One row. isolated says that all users are.
CREATE TABLE orgauthz_tenant (
    id       SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
    settings TEXT     NOT NULL,
    isolated SMALLINT NOT NULL
);
INSERT INTO orgauthz_tenant (id, settings, isolated) VALUES (1, '{}', 0);
