-- Organization roles below a ceiling, indexes of teams and groups, and requests of people who want to be members.

-- +goose Up

-- template is 1 for roles of the tenant that organizations may base roles of their own on; base_id names such a role, empty for none.
-- follows_base is 1 where the role has what its base has.
ALTER TABLE orgauthz_roles ADD COLUMN template SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_roles ADD COLUMN base_id TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_roles ADD COLUMN follows_base SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX orgauthz_roles_org ON orgauthz_roles (org_id, id) WHERE deleted_at IS NULL;

CREATE INDEX orgauthz_teams_org ON orgauthz_teams (org_id, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_teams_by_name ON orgauthz_teams (org_id, name, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_teams_deleted ON orgauthz_teams (id) WHERE deleted_at IS NOT NULL;

CREATE INDEX orgauthz_groups_live ON orgauthz_groups (id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_groups_by_name ON orgauthz_groups (name, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_groups_created ON orgauthz_groups (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_groups_deleted ON orgauthz_groups (id) WHERE deleted_at IS NOT NULL;

-- What people ask who want to be members: pending, approved, declined or withdrawn; expired is also what is pending after expires_at.
CREATE TABLE orgauthz_requests (
    id         TEXT   NOT NULL PRIMARY KEY,
    org_id     TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    user_id    TEXT   NOT NULL REFERENCES orgauthz_users (id) ON DELETE CASCADE,
    message    TEXT   NOT NULL,
    source     TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX orgauthz_requests_pending ON orgauthz_requests (org_id, user_id) WHERE status = 'pending';
CREATE INDEX orgauthz_requests_org ON orgauthz_requests (org_id, id);
CREATE INDEX orgauthz_requests_created ON orgauthz_requests (org_id, created_at, id);
CREATE INDEX orgauthz_requests_status ON orgauthz_requests (org_id, status, id);
CREATE INDEX orgauthz_requests_status_created ON orgauthz_requests (org_id, status, created_at, id);
CREATE INDEX orgauthz_requests_user ON orgauthz_requests (user_id, org_id);
