package orgstore

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// APIKey lets a program act as one member of one organization, a machine or a user, without logging in. What it may do is what
// that member may do at that moment: Authenticate says who it is, and Resolve says what they are (rule M2M-5).
type APIKey struct {
	ID           string    `json:"id"` // "key_" and 16 alphanumerics
	Organization string    `json:"organization_id"`
	Name         string    `json:"name"`                  // 1 to 100 printable characters, for people to recognise it by
	Principal    string    `json:"principal"`             // id of the member that it acts as
	Prefix       string    `json:"prefix"`                // the first characters of the newest secret, to recognise it by
	CreatedAt    time.Time `json:"created_at"`            // UTC
	UpdatedAt    time.Time `json:"updated_at"`            // UTC; use does not count
	ExpiresAt    time.Time `json:"expires_at,omitzero"`   // UTC; zero means never
	RevokedAt    time.Time `json:"revoked_at,omitzero"`   // UTC; zero while it is not
	LastUsedAt   time.Time `json:"last_used_at,omitzero"` // UTC, to the minute; zero means never

	// Secret is what the program presents: "oak_" and 26 characters with 130 random bits. It is set in what Create and Rotate
	// return and nowhere else: only its hash is stored.
	Secret string `json:"-"`
}

// APIKeyOptions says what key to make. Name and Principal must be given.
type APIKeyOptions struct {
	Name      string
	Principal string    // id of a member of the organization
	ExpiresAt time.Time // in the future; zero means never
}

// APIKeys are the API keys of organizations.
type APIKeys struct{ e *Engine }

const (
	secretPrefix = "oak_"
	shownPrefix  = len(secretPrefix) + 6 // characters of a secret that stay visible
	maxOverlap   = 30 * 24 * time.Hour
)

const apiKeyColumns = `k.id, k.org_id, k.name, k.principal, k.prefix, k.created_at, k.updated_at, k.expires_at, k.revoked_at, k.used_at`

func scanAPIKey(row scanner) (*APIKey, error) {
	var k APIKey
	return &k, row.Scan(&k.ID, &k.Organization, &k.Name, &k.Principal, &k.Prefix, instant{&k.CreatedAt}, instant{&k.UpdatedAt},
		instant{&k.ExpiresAt}, instant{&k.RevokedAt}, instant{&k.LastUsedAt})
}

// live reports whether the key can be used at an instant.
func (k *APIKey) live(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

func newSecret() (secret, prefix, hash string) {
	secret = secretPrefix + strings.ToLower(rand.Text())
	return secret, secret[:shownPrefix], hashOf(secret)
}

// Create makes a key for a member of organization org, and returns it with its Secret.
//
// Errors: NotFound (organization, member), Invalid, Limit (live API keys), Denied (see Engine.As: nobody makes a key for somebody
// who may do more than they).
func (s *APIKeys) Create(ctx context.Context, org string, opts APIKeyOptions) (*APIKey, Result, error) {
	var err error
	if opts.Name == "" || !printable(opts.Name) || strings.TrimSpace(opts.Name) != opts.Name || utf8.RuneCountInString(opts.Name) > maxRoleName {
		err = &Invalid{"name", "M2M-5", "must be 1 to 100 printable characters, without spaces around them"}
	}
	if !opts.ExpiresAt.IsZero() && !opts.ExpiresAt.After(s.e.cfg.Clock()) {
		err = errors.Join(err, &Invalid{"expires_at", "M2M-5", "must be in the future"})
	}
	if err != nil {
		return nil, Result{}, err
	}
	secret, prefix, hash := newSecret()
	k := APIKey{
		ID: newID("key_"), Organization: org, Name: opts.Name, Principal: opts.Principal, Prefix: prefix,
		ExpiresAt: opts.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
	_, result, err := create(ctx, s.e, call{"api_keys.create", org, opts}, &k, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "create:organization_api_keys", opts.Principal); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{apiKeyScope(org, k.ID)}, []Scope{OrganizationScope(org), MembershipScope(org, opts.Principal)}); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, org); err != nil {
			return err
		}
		if _, err := member(ctx, tx.sql, org, opts.Principal); err != nil {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if err := roomForKey(ctx, tx, org, at); err != nil {
			return err
		}
		k.CreatedAt, k.UpdatedAt = at, at
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_api_keys (id, org_id, name, principal, prefix, created_at, updated_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6, $7)`, k.ID, org, k.Name, k.Principal, k.Prefix, at.UnixMicro(), instant{&k.ExpiresAt}); err != nil {
			return err
		}
		if err := addSecret(ctx, tx, k.ID, hash); err != nil {
			return err
		}
		return tx.raise(ctx, apiKeyScope(org, k.ID), org, "organization.api_key.created", nil, &k)
	})
	if err != nil {
		return nil, Result{}, err
	}
	if !result.Replayed {
		k.Secret = secret
	}
	return &k, result, nil
}

func apiKeyScope(org, id string) Scope { return Scope{Kind: ScopeAPIKey, Org: org, ID: id} }

func addSecret(ctx context.Context, tx *transaction, id, hash string) error {
	_, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_api_key_secrets (secret, key_id) VALUES ($1, $2)`, hash, id)
	return err
}

// roomForKey checks the limit of live keys, under the lock of the organization's row.
func roomForKey(ctx context.Context, tx *transaction, org string, now time.Time) error {
	if err := guard(ctx, tx, org); err != nil {
		return err
	}
	var n int
	if err := tx.sql.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM orgauthz_api_keys WHERE org_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`,
		org, now.UnixMicro()).Scan(&n); err != nil {
		return err
	}
	if limit := tx.cfg.Limits.APIKeys; n >= limit {
		return &Limit{"live API keys", limit}
	}
	return nil
}

// Get returns one key, live or not. Errors: NotFound.
func (s *APIKeys) Get(ctx context.Context, org, id string) (*APIKey, error) {
	return read(ctx, s.e, func(q queryer) (*APIKey, error) { return apiKey(ctx, q, org, id) })
}

func apiKey(ctx context.Context, q queryer, org, id string) (*APIKey, error) {
	if !apiKeyScope(org, id).valid() {
		return nil, &NotFound{"API key"}
	}
	return one(scanAPIKey(q.QueryRowContext(ctx, `
		SELECT `+apiKeyColumns+` FROM orgauthz_api_keys k JOIN orgauthz_organizations o ON o.id = k.org_id AND o.deleted_at IS NULL
		WHERE k.org_id = $1 AND k.id = $2`, org, id)))("API key")
}

// List returns a page of an organization's keys, live or not, by id, name or created_at. Errors: NotFound (organization).
func (s *APIKeys) List(ctx context.Context, org string, opts ListOptions) (Page[*APIKey], error) {
	if !validID("org_", org) {
		return Page[*APIKey]{}, &NotFound{"organization"}
	}
	l := listing[*APIKey]{
		name: "api keys", query: `SELECT ` + apiKeyColumns + ` FROM orgauthz_api_keys k
			JOIN orgauthz_organizations o ON o.id = k.org_id AND o.deleted_at IS NULL WHERE k.org_id = $1`,
		args: []any{org}, id: "k.id", sorts: map[Sort]string{SortName: "k.name", SortCreated: "k.created_at"}, scan: scanAPIKey,
		key: func(k *APIKey, by Sort) (any, string) {
			if by == SortName {
				return k.Name, k.ID
			}
			return k.CreatedAt.UnixMicro(), k.ID
		},
	}
	page, err := l.read(ctx, s.e, opts)
	if err == nil && len(page.Items) == 0 {
		_, err = s.e.Organizations.Get(ctx, org)
	}
	return page, err
}

// Rotate gives a live key a new secret. The older ones go on for overlap, at most 30 days, so that programs can change over; 0
// ends them at once. The key that it returns has the new Secret.
//
// Errors: NotFound (organization, API key), Conflict (revoked or expired), Invalid.
func (s *APIKeys) Rotate(ctx context.Context, org, id string, overlap time.Duration) (*APIKey, Result, error) {
	if overlap < 0 || overlap > maxOverlap {
		return nil, Result{}, &Invalid{"overlap", "M2M-5", "must be at most 30 days, and not negative"}
	}
	secret, prefix, hash := newSecret()
	var k APIKey
	_, result, err := create(ctx, s.e, call{"api_keys.rotate", org, id, overlap}, &k, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, id, "update:organization_api_keys")
		if err != nil {
			return err
		}
		if !before.live(tx.cfg.Clock()) {
			return &Conflict{"API key", "status"}
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		k = *before
		k.Prefix, k.UpdatedAt = prefix, at
		end := at.Add(overlap).UnixMicro()
		for _, statement := range []struct {
			text string
			args []any
		}{
			{`UPDATE orgauthz_api_key_secrets SET valid_until = $2 WHERE key_id = $1 AND (valid_until IS NULL OR valid_until > $2)`, []any{id, end}},
			{`DELETE FROM orgauthz_api_key_secrets WHERE key_id = $1 AND valid_until <= $2`, []any{id, at.UnixMicro()}},
			{`UPDATE orgauthz_api_keys SET prefix = $2, updated_at = $3 WHERE id = $1`, []any{id, prefix, at.UnixMicro()}},
		} {
			if _, err := tx.sql.ExecContext(ctx, statement.text, statement.args...); err != nil {
				return err
			}
		}
		if err := addSecret(ctx, tx, id, hash); err != nil {
			return err
		}
		return tx.raise(ctx, apiKeyScope(org, id), org, "organization.api_key.rotated", before, &k)
	})
	if err != nil {
		return nil, Result{}, err
	}
	if !result.Replayed {
		k.Secret = secret
	}
	return &k, result, nil
}

// Revoke ends a key and all of its secrets at once. Revoking it again changes nothing. Errors: NotFound (organization, API key).
func (s *APIKeys) Revoke(ctx context.Context, org, id string) (Result, error) {
	return s.e.mutate(ctx, call{"api_keys.revoke", org, id}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, id, "delete:organization_api_keys")
		if err != nil || !before.RevokedAt.IsZero() {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		k := *before
		k.RevokedAt, k.UpdatedAt = at, at
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_api_keys SET revoked_at = $2, updated_at = $2 WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_api_key_secrets WHERE key_id = $1`, id); err != nil {
			return err
		}
		return tx.raise(ctx, apiKeyScope(org, id), org, "organization.api_key.revoked", before, &k)
	})
}

// begin locks a key and returns it. Who ends a key, or changes its secret, acts on whom it acts as.
func (s *APIKeys) begin(ctx context.Context, tx *transaction, org, id, permission string) (*APIKey, error) {
	var targets []string
	if found, err := apiKey(ctx, tx.sql, org, id); err == nil {
		targets = append(targets, found.Principal)
	}
	if err := tx.permit(ctx, org, permission, targets...); err != nil {
		return nil, err
	}
	if err := tx.lock(ctx, []Scope{apiKeyScope(org, id)}, []Scope{OrganizationScope(org)}); err != nil {
		return nil, err
	}
	if _, err := organization(ctx, tx.sql, org); err != nil {
		return nil, err
	}
	return apiKey(ctx, tx.sql, org, id)
}

// Authenticate returns the live key that secret belongs to. Whether its member may do anything is for Resolve to say, with
// Organization and Principal. A member who was removed and has come back is another one: their keys stay dead until Rotate. That
// the key is in use is written at most once a minute.
//
// Errors: NotFound (API key: unknown, revoked, expired, of a membership that has ended and begun anew, or of a deleted organization).
func (s *APIKeys) Authenticate(ctx context.Context, secret string) (*APIKey, error) {
	if len(secret) != len(secretPrefix)+26 || !strings.HasPrefix(secret, secretPrefix) {
		return nil, &NotFound{"API key"}
	}
	now := s.e.cfg.Clock()
	k, err := read(ctx, s.e, func(q queryer) (*APIKey, error) {
		return one(scanAPIKey(q.QueryRowContext(ctx, `
			SELECT `+apiKeyColumns+` FROM orgauthz_api_key_secrets ks JOIN orgauthz_api_keys k ON k.id = ks.key_id
			JOIN orgauthz_organizations o ON o.id = k.org_id AND o.deleted_at IS NULL
			WHERE ks.secret = $1 AND (ks.valid_until IS NULL OR ks.valid_until > $2) AND NOT EXISTS (
				SELECT 1 FROM orgauthz_members m WHERE m.org_id = k.org_id AND m.user_id = k.principal AND m.created_at > k.updated_at)`,
			hashOf(secret), now.UnixMicro())))("API key")
	})
	if err != nil {
		return nil, err
	}
	if !k.live(now) {
		return nil, &NotFound{"API key"}
	}
	if s.e.tx == nil && now.Sub(k.LastUsedAt) >= usageInterval {
		s.used(ctx, k, now)
	}
	return k, nil
}

// used records that a key is in use. That it could not be written is no reason to refuse the key.
func (s *APIKeys) used(ctx context.Context, k *APIKey, now time.Time) {
	_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
		tx.dirty = true
		_, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_api_keys SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)`,
			k.ID, now.UnixMicro())
		return err
	})
	if err != nil {
		s.e.cfg.Logger.WarnContext(ctx, "orgstore: the use of an API key could not be recorded", "api_key", k.ID, "error", err)
		return
	}
	k.LastUsedAt = now.UTC().Truncate(time.Microsecond)
}
