-- What organizations have of their own.

-- +goose Up

-- E-mail domains. status is pending or verified, whoever says so; proven_at is when our own look at the DNS last found the text,
-- null while it is not there; checked_at is when it last looked, 0 for never.
CREATE TABLE orgauthz_domains (
    id                TEXT     NOT NULL PRIMARY KEY,
    org_id            TEXT     NOT NULL REFERENCES orgauthz_organizations (id),
    domain            TEXT     NOT NULL,
    subdomains        SMALLINT NOT NULL,
    status            TEXT     NOT NULL,
    discovery         SMALLINT NOT NULL,
    verification_text TEXT     NOT NULL,
    proven_at         BIGINT,
    checked_at        BIGINT   NOT NULL,
    created_at        BIGINT   NOT NULL,
    updated_at        BIGINT   NOT NULL
);
CREATE UNIQUE INDEX orgauthz_domains_domain ON orgauthz_domains (org_id, domain);
CREATE INDEX orgauthz_domains_id ON orgauthz_domains (org_id, id);
CREATE INDEX orgauthz_domains_created ON orgauthz_domains (org_id, created_at, id);
CREATE INDEX orgauthz_domains_holders ON orgauthz_domains (domain, org_id);
CREATE INDEX orgauthz_domains_checked ON orgauthz_domains (checked_at, id);

-- cleaned is 1 once nothing is left of what a deleted organization had.
ALTER TABLE orgauthz_organizations ADD COLUMN cleaned SMALLINT NOT NULL DEFAULT 0;
DROP INDEX orgauthz_organizations_left;
CREATE INDEX orgauthz_organizations_left ON orgauthz_organizations (id) WHERE deleted_at IS NOT NULL AND cleaned = 0;

-- branding and token_quota are JSON, empty for none. display_key is display_name in lower case, to be searched. The others are
-- empty where there is none.
ALTER TABLE orgauthz_organizations ADD COLUMN external_id TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN display_key TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN branding TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN token_quota TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN third_party_client_access TEXT NOT NULL DEFAULT 'block';
ALTER TABLE orgauthz_organizations ADD COLUMN app_entitlement SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE orgauthz_organizations ADD COLUMN invitation_redirect_url TEXT NOT NULL DEFAULT '';
ALTER TABLE orgauthz_organizations ADD COLUMN auto_join TEXT NOT NULL DEFAULT 'off';
ALTER TABLE orgauthz_organizations ADD COLUMN login_domain TEXT NOT NULL DEFAULT '';
UPDATE orgauthz_organizations SET display_key = LOWER(display_name);
CREATE UNIQUE INDEX orgauthz_organizations_external_id ON orgauthz_organizations (external_id) WHERE external_id <> '' AND deleted_at IS NULL;
CREATE UNIQUE INDEX orgauthz_organizations_login_domain ON orgauthz_organizations (login_domain) WHERE login_domain <> '' AND deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_display_key ON orgauthz_organizations (display_key, id) WHERE deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_suspended ON orgauthz_organizations (id) WHERE status = 'suspended' AND deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_suspended_name ON orgauthz_organizations (name, id) WHERE status = 'suspended' AND deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_suspended_created ON orgauthz_organizations (created_at, id) WHERE status = 'suspended' AND deleted_at IS NULL;
CREATE INDEX orgauthz_organizations_due ON orgauthz_organizations (delete_at) WHERE delete_at IS NOT NULL AND deleted_at IS NULL;

-- Connections as they are enabled for organizations. is_enabled is 0 where the settings are kept and nothing else.
CREATE TABLE orgauthz_enabled_connections (
    org_id            TEXT     NOT NULL REFERENCES orgauthz_organizations (id),
    connection_id     TEXT     NOT NULL REFERENCES orgauthz_connections (id),
    assign_membership SMALLINT NOT NULL,
    show_as_button    SMALLINT NOT NULL,
    signup            SMALLINT NOT NULL,
    name              TEXT     NOT NULL,
    access_level      TEXT     NOT NULL,
    is_enabled        SMALLINT NOT NULL,
    created_at        BIGINT   NOT NULL,
    updated_at        BIGINT   NOT NULL,
    PRIMARY KEY (org_id, connection_id)
);
CREATE INDEX orgauthz_enabled_connections_connection ON orgauthz_enabled_connections (connection_id, org_id);
CREATE INDEX orgauthz_enabled_connections_created ON orgauthz_enabled_connections (connection_id, created_at, org_id);

-- Which applications have access to organizations.
CREATE TABLE orgauthz_organization_clients (
    org_id                TEXT     NOT NULL REFERENCES orgauthz_organizations (id),
    client_id             TEXT     NOT NULL REFERENCES orgauthz_clients (id),
    use_for_member_access SMALLINT NOT NULL,
    created_at            BIGINT   NOT NULL,
    updated_at            BIGINT   NOT NULL,
    PRIMARY KEY (org_id, client_id)
);
CREATE INDEX orgauthz_organization_clients_client ON orgauthz_organization_clients (client_id, org_id);

-- Page and e-mail templates of organizations, applications and, with neither, of the tenant. body is the text of an e-mail.
CREATE TABLE orgauthz_templates (
    org_id     TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    html       TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, client_id, kind)
);
CREATE INDEX orgauthz_templates_client ON orgauthz_templates (client_id, kind) WHERE client_id <> '';
CREATE INDEX orgauthz_clients_deleted ON orgauthz_clients (id) WHERE deleted_at IS NOT NULL;
