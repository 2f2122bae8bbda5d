-- What answers of Resolve are computed from besides organizations, users, roles and members: parents, expiry, teams, groups,
-- contracts and the grants of machines.

-- +goose Up

-- kind is user, or client for the principal of an application that acts for itself. app_metadata and user_metadata are JSON objects.
ALTER TABLE orgauthz_users ADD COLUMN kind TEXT NOT NULL DEFAULT 'user';
ALTER TABLE orgauthz_users ADD COLUMN tokens_valid_after BIGINT NOT NULL DEFAULT 0;
CREATE INDEX orgauthz_users_name ON orgauthz_users (name, id);
CREATE INDEX orgauthz_users_created ON orgauthz_users (created_at, id);

-- parent_id names a live or deleted organization. security is the security policy as JSON, empty for none. delete_at is when a
-- scheduled deletion takes effect. owner_role is the role that somebody has to hold, empty for none.
ALTER TABLE orgauthz_organizations ADD COLUMN parent_id TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN tokens_valid_after BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_organizations ADD COLUMN delete_at BIGINT;
ALTER TABLE orgauthz_organizations ADD COLUMN security TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN owner_role TEXT NOT NULL DEFAULT '';
CREATE INDEX orgauthz_organizations_created ON orgauthz_organizations (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_owner ON orgauthz_organizations (owner_role) WHERE owner_role <> '';
CREATE INDEX orgauthz_organizations_parent ON orgauthz_organizations (parent_id, id) WHERE parent_id <> '';

-- org_id is the organization that a role belongs to, empty for roles of the tenant. api_permissions is a JSON object: identifiers
-- of APIs to lists of permissions that count for this API alone; permissions count for every API.
ALTER TABLE orgauthz_roles ADD COLUMN org_id TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_roles ADD COLUMN api_permissions TEXT NOT NULL DEFAULT '{}';
DROP INDEX orgauthz_roles_name;
CREATE UNIQUE INDEX orgauthz_roles_name ON orgauthz_roles (org_id, name) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_roles_created ON orgauthz_roles (org_id, created_at, id) WHERE deleted_at IS NULL;

-- status is active or suspended. expires_at is when a membership, or the holding of a role, ends by itself. name is the user's, so
-- that members can be listed by it; name_key and email_key are the user's in lower case, so that they can be found by how
-- these begin. used_at is when the user last chose the organization, 0 for never. descendants is 1 where a role counts in all
-- organizations below as well.
ALTER TABLE orgauthz_members ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE orgauthz_members ADD COLUMN expires_at BIGINT;
ALTER TABLE orgauthz_members ADD COLUMN tokens_valid_after BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_members ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_members ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_members ADD COLUMN email_key TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_members ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
UPDATE orgauthz_members SET
    name = (SELECT u.name FROM orgauthz_users u WHERE u.id = orgauthz_members.user_id),
    name_key = (SELECT LOWER(u.name) FROM orgauthz_users u WHERE u.id = orgauthz_members.user_id),
    email_key = (SELECT LOWER(u.email) FROM orgauthz_users u WHERE u.id = orgauthz_members.user_id);
ALTER TABLE orgauthz_member_roles ADD COLUMN expires_at BIGINT;
ALTER TABLE orgauthz_member_roles ADD COLUMN descendants SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX orgauthz_members_name ON orgauthz_members (org_id, name, user_id);
CREATE INDEX orgauthz_members_created ON orgauthz_members (org_id, created_at, user_id);
CREATE INDEX orgauthz_members_name_key ON orgauthz_members (org_id, name_key, user_id);
CREATE INDEX orgauthz_members_email_key ON orgauthz_members (org_id, email_key, user_id);
CREATE INDEX orgauthz_members_joined ON orgauthz_members (user_id, created_at, org_id);
CREATE INDEX orgauthz_members_used ON orgauthz_members (user_id, used_at, org_id);
CREATE INDEX orgauthz_members_suspended ON orgauthz_members (org_id, user_id) WHERE status = 'suspended';
CREATE INDEX orgauthz_members_kind ON orgauthz_members (org_id, kind, user_id) WHERE kind <> 'employee';
CREATE INDEX orgauthz_members_expire ON orgauthz_members (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX orgauthz_member_roles_expire ON orgauthz_member_roles (expires_at) WHERE expires_at IS NOT NULL;
DROP INDEX orgauthz_member_roles_role;
CREATE INDEX orgauthz_member_roles_role ON orgauthz_member_roles (role_id, org_id, user_id);

-- Teams of an organization hold roles there, and hand them to their members and to those of the teams below. A deleted team keeps
-- its row. An edge belongs to the end from which a resolve reaches it: of a member to teams, and of a team to its parent and roles.
CREATE TABLE orgauthz_teams (
    id          TEXT   NOT NULL PRIMARY KEY,
    org_id      TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    parent_id   TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);
CREATE UNIQUE INDEX orgauthz_teams_name ON orgauthz_teams (org_id, name) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_teams_parent ON orgauthz_teams (parent_id) WHERE parent_id <> '';
CREATE INDEX orgauthz_teams_created ON orgauthz_teams (org_id, created_at, id) WHERE deleted_at IS NULL;
CREATE TABLE orgauthz_team_roles (
    team_id TEXT NOT NULL REFERENCES orgauthz_teams (id),
    role_id TEXT NOT NULL REFERENCES orgauthz_roles (id),
    PRIMARY KEY (team_id, role_id)
);
CREATE INDEX orgauthz_team_roles_role ON orgauthz_team_roles (role_id);
CREATE TABLE orgauthz_team_members (
    org_id  TEXT NOT NULL,
    user_id TEXT NOT NULL,
    team_id TEXT NOT NULL REFERENCES orgauthz_teams (id),
    PRIMARY KEY (org_id, user_id, team_id),
    FOREIGN KEY (org_id, user_id) REFERENCES orgauthz_members (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX orgauthz_team_members_team ON orgauthz_team_members (team_id, user_id);

-- Groups of an enterprise connection. A user's groups belong to the user; which groups hold roles in an organization belongs to the
-- organization; the group itself to the group. A deleted group keeps its row.
CREATE TABLE orgauthz_groups (
    id            TEXT   NOT NULL PRIMARY KEY,
    connection_id TEXT   NOT NULL,
    external_id   TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    deleted_at    BIGINT
);
CREATE UNIQUE INDEX orgauthz_groups_name ON orgauthz_groups (connection_id, name) WHERE deleted_at IS NULL;
CREATE TABLE orgauthz_group_members (
    user_id  TEXT NOT NULL REFERENCES orgauthz_users (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES orgauthz_groups (id),
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX orgauthz_group_members_group ON orgauthz_group_members (group_id, user_id);
CREATE TABLE orgauthz_organization_groups (
    org_id   TEXT NOT NULL REFERENCES orgauthz_organizations (id),
    group_id TEXT NOT NULL REFERENCES orgauthz_groups (id),
    PRIMARY KEY (org_id, group_id)
);
CREATE INDEX orgauthz_organization_groups_group ON orgauthz_organization_groups (group_id, org_id);
CREATE TABLE orgauthz_group_roles (
    org_id   TEXT NOT NULL,
    group_id TEXT NOT NULL,
    role_id  TEXT NOT NULL REFERENCES orgauthz_roles (id),
    PRIMARY KEY (org_id, group_id, role_id),
    FOREIGN KEY (org_id, group_id) REFERENCES orgauthz_organization_groups (org_id, group_id)
);
CREATE INDEX orgauthz_group_roles_role ON orgauthz_group_roles (role_id);

-- A contract admits members of the guest organization into the host: those of a kind, of a team, with a role or with metadata, as
-- far as each is given, with these roles of the host or of the tenant. kinds are separated by spaces. shares lists shared data, as JSON. ended_at is when somebody
-- ended it; from_at and until_at bound it in time. The set of a host's contracts belongs to the host.
CREATE TABLE orgauthz_contracts (
    id             TEXT   NOT NULL PRIMARY KEY,
    host_id        TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    guest_id       TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    name           TEXT   NOT NULL,
    kinds          TEXT   NOT NULL,
    team_id        TEXT   NOT NULL,
    role_id        TEXT   NOT NULL,
    metadata_key   TEXT   NOT NULL,
    metadata_value TEXT   NOT NULL,
    shares         TEXT   NOT NULL,
    from_at        BIGINT,
    until_at       BIGINT,
    ended_at       BIGINT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);
CREATE INDEX orgauthz_contracts_live ON orgauthz_contracts (host_id) WHERE ended_at IS NULL;
CREATE INDEX orgauthz_contracts_host ON orgauthz_contracts (host_id, id);
CREATE INDEX orgauthz_contracts_guest ON orgauthz_contracts (guest_id, id);
CREATE TABLE orgauthz_contract_roles (
    contract_id TEXT NOT NULL REFERENCES orgauthz_contracts (id),
    role_id     TEXT NOT NULL REFERENCES orgauthz_roles (id),
    PRIMARY KEY (contract_id, role_id)
);
CREATE INDEX orgauthz_contract_roles_role ON orgauthz_contract_roles (role_id);

-- A client grant lets an application act for itself at an API. Its associations say in which organizations; both belong to the
-- principal of the application: client@clients, there and everywhere.
CREATE TABLE orgauthz_client_grants (
    id                     TEXT     NOT NULL PRIMARY KEY,
    client_id              TEXT     NOT NULL,
    audience               TEXT     NOT NULL,
    scopes                 TEXT     NOT NULL,
    organization_usage     TEXT     NOT NULL,
    allow_any_organization SMALLINT NOT NULL,
    created_at             BIGINT   NOT NULL,
    updated_at             BIGINT   NOT NULL
);
CREATE UNIQUE INDEX orgauthz_client_grants_client ON orgauthz_client_grants (client_id, audience);
CREATE INDEX orgauthz_client_grants_audience ON orgauthz_client_grants (audience, id);
CREATE TABLE orgauthz_organization_grants (
    org_id     TEXT   NOT NULL REFERENCES orgauthz_organizations (id),
    grant_id   TEXT   NOT NULL REFERENCES orgauthz_client_grants (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, grant_id)
);
CREATE INDEX orgauthz_organization_grants_grant ON orgauthz_organization_grants (grant_id, org_id);
