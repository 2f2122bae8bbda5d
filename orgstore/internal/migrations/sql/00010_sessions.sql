-- What comes of logins: sessions, the organizations that they have entered, refresh tokens; and API keys and the tokens that machines
-- were given. Secrets are stored as their SHA-256 in hexadecimal.

-- +goose Up

-- amr is separated by spaces. ended_at is when somebody ended it.
CREATE TABLE orgauthz_sessions (
    id               TEXT   NOT NULL PRIMARY KEY,
    user_id          TEXT   NOT NULL,
    connection_id    TEXT   NOT NULL,
    client_id        TEXT   NOT NULL,
    acr              TEXT   NOT NULL,
    amr              TEXT   NOT NULL,
    device           TEXT   NOT NULL,
    authenticated_at BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    active_at        BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    ended_at         BIGINT
);
CREATE INDEX orgauthz_sessions_user ON orgauthz_sessions (user_id, id);
CREATE INDEX orgauthz_sessions_user_created ON orgauthz_sessions (user_id, created_at, id);
CREATE INDEX orgauthz_sessions_expires ON orgauthz_sessions (expires_at, id);

-- An organization that a session has entered, as a member or as a guest. The row of whoever has lost access stays, and says nothing.
CREATE TABLE orgauthz_session_organizations (
    session_id TEXT   NOT NULL REFERENCES orgauthz_sessions (id) ON DELETE CASCADE,
    org_id     TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    entered_at BIGINT NOT NULL,
    guest      SMALLINT NOT NULL,
    PRIMARY KEY (session_id, org_id)
);
CREATE INDEX orgauthz_session_organizations_member ON orgauthz_session_organizations (org_id, user_id, session_id);
CREATE INDEX orgauthz_session_organizations_org ON orgauthz_session_organizations (org_id, session_id);

-- Each refresh token of a family is used once; only the newest has no used_at. Deleting the session, or the family, ends all.
CREATE TABLE orgauthz_refresh_tokens (
    token      TEXT   NOT NULL PRIMARY KEY,
    family     TEXT   NOT NULL,
    session_id TEXT   NOT NULL REFERENCES orgauthz_sessions (id) ON DELETE CASCADE,
    client_id  TEXT   NOT NULL,
    org_id     TEXT   NOT NULL,
    audience   TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX orgauthz_refresh_tokens_family ON orgauthz_refresh_tokens (family);
CREATE INDEX orgauthz_refresh_tokens_session ON orgauthz_refresh_tokens (session_id);

CREATE TABLE orgauthz_api_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    org_id     TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    name       TEXT   NOT NULL,
    principal  TEXT   NOT NULL,
    prefix     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    used_at    BIGINT
);
CREATE INDEX orgauthz_api_keys_org ON orgauthz_api_keys (org_id, id);
CREATE INDEX orgauthz_api_keys_created ON orgauthz_api_keys (org_id, created_at, id);
CREATE INDEX orgauthz_api_keys_name ON orgauthz_api_keys (org_id, name, id);

-- The secrets of a key: the newest, and those that a rotation has left for a while.
CREATE TABLE orgauthz_api_key_secrets (
    secret      TEXT NOT NULL PRIMARY KEY,
    key_id      TEXT NOT NULL REFERENCES orgauthz_api_keys (id) ON DELETE CASCADE,
    valid_until BIGINT
);
CREATE INDEX orgauthz_api_key_secrets_key ON orgauthz_api_key_secrets (key_id);

-- How many tokens a machine was given for an organization in one period: hour or day, by its first instant.
CREATE TABLE orgauthz_token_usage (
    org_id    TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    period    TEXT   NOT NULL,
    begins_at BIGINT NOT NULL,
    tokens    BIGINT NOT NULL,
    PRIMARY KEY (org_id, client_id, period, begins_at)
);
CREATE INDEX orgauthz_token_usage_begins ON orgauthz_token_usage (begins_at);
