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
