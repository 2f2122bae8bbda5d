-- Organization roles below a ceiling, indexes of teams and groups, and requests of people who want to be members.

-- +goose Up

-- template is 1 for roles of the tenant that organizations may base roles of their own on; base_id names such a role, empty for none.
ALTER TABLE orgauthz_roles ADD COLUMN template SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_roles ADD COLUMN base_id TEXT NOT NULL DEFAULT '';
CREATE INDEX orgauthz_roles_org ON orgauthz_roles (org_id, id) WHERE deleted_at IS NULL;

CREATE INDEX orgauthz_teams_org ON orgauthz_teams (org_id, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_teams_deleted ON orgauthz_teams (id) WHERE deleted_at IS NOT NULL;

CREATE INDEX orgauthz_groups_live ON orgauthz_groups (id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_groups_by_name ON orgauthz_groups (name, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_groups_created ON orgauthz_groups (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_groups_deleted ON orgauthz_groups (id) WHERE deleted_at IS NOT NULL;
