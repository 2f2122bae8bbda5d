-- Invitations. status is pending, accepted, revoked or expired; a pending one whose time is over is expired whatever it says.
-- ticket is the SHA-256 of the ticket, empty when it is used up. inviter_id is the user within whose rights the roles are granted,
-- empty where nobody's bound them.

-- +goose Up

CREATE TABLE orgauthz_invitations (
    id            TEXT   NOT NULL PRIMARY KEY,
    org_id        TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    status        TEXT   NOT NULL,
    email         TEXT   NOT NULL,
    email_key     TEXT   NOT NULL,
    inviter_name  TEXT   NOT NULL,
    inviter_id    TEXT   NOT NULL,
    client_id     TEXT   NOT NULL,
    connection_id TEXT   NOT NULL,
    kind          TEXT   NOT NULL,
    roles         TEXT   NOT NULL,
    app_metadata  TEXT   NOT NULL,
    user_metadata TEXT   NOT NULL,
    redirect_uri  TEXT   NOT NULL,
    ticket        TEXT   NOT NULL,
    attempts      BIGINT NOT NULL,
    accepted_by   TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX orgauthz_invitations_ticket ON orgauthz_invitations (ticket) WHERE ticket <> '';
CREATE UNIQUE INDEX orgauthz_invitations_pending ON orgauthz_invitations (org_id, email_key) WHERE status = 'pending';
CREATE INDEX orgauthz_invitations_id ON orgauthz_invitations (org_id, id);
CREATE INDEX orgauthz_invitations_created ON orgauthz_invitations (org_id, created_at, id);
