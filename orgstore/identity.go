package orgstore

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Bounds of users and their identities.
const (
	maxPicture    = 2048
	maxObject     = 16_384 // bytes of app_metadata, and of user_metadata
	maxIdentities = 20
)

// Identity is an account at a connection by which a user logs in. It is one user's at a time (rule DIR-10).
type Identity struct {
	Connection string `json:"connection_id"`
	ID         string `json:"user_id"` // the connection's id of the account, as validated there; at most 1,024 printable bytes
	// Email is the account's: the user's own one, or that of the user who was linked.
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified"`
}

// Identities are read in one text: no field has control characters.
const (
	identityEnd = "\x1e"
	fieldEnd    = "\x1f"

	userIdentities = `COALESCE((SELECT string_agg(i.connection_id || '` + fieldEnd + `' || i.id || '` + fieldEnd + `' || i.email || '` +
		fieldEnd + `' || CAST(i.email_verified AS TEXT), '` + identityEnd + `' ORDER BY i.number)
		FROM orgauthz_identities i JOIN orgauthz_connections c ON c.id = i.connection_id AND c.deleted_at IS NULL
		WHERE i.user_id = orgauthz_users.id), '')`
)

func scanIdentities(text string) []Identity {
	if text == "" {
		return nil
	}
	var identities []Identity
	for part := range strings.SplitSeq(text, identityEnd) {
		fields := strings.Split(part, fieldEnd)
		identities = append(identities, Identity{fields[0], fields[1], fields[2], fields[3] == "1"})
	}
	return identities
}

// checkIdentities checks the identities of a new user, and gives the first one the user's e-mail where it has none.
func (u *User) checkIdentities() error {
	u.Identities = slices.Clone(u.Identities)
	if len(u.Identities) == 0 {
		u.Identities = nil
	}
	if len(u.Identities) > maxIdentities {
		return &Limit{"identities per user", maxIdentities}
	}
	var err error
	for n := range u.Identities {
		i := &u.Identities[n]
		if n == 0 && i.Email == "" {
			i.Email, i.EmailVerified = u.Email, u.EmailVerified
		}
		if !validUserID(i.ID) {
			err = errors.Join(err, &Invalid{"identities", "DIR-10", "must each have an id of 1 to 1,024 bytes of printable characters"})
		}
		err = errors.Join(err, checkText("identities", "DIR-11", i.Email, maxEmail))
	}
	return err
}

// insert writes i as an own identity of a user. The scope of its connection is locked.
func (i *Identity) insert(ctx context.Context, tx *transaction, user string, number int) error {
	c, err := connection(ctx, tx.sql, i.Connection)
	if err != nil {
		return err
	}
	var taken int
	if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_identities WHERE connection_id = $1 AND id = $2`,
		i.Connection, i.ID).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return &Conflict{"user", "identity"}
	}
	if err := i.emailIsFree(ctx, tx, c); err != nil {
		return err
	}
	_, err = tx.sql.ExecContext(ctx, `
		INSERT INTO orgauthz_identities (connection_id, id, user_id, number, origin, email, email_verified, email_key)
		VALUES ($1, $2, $3, $4, $3, $5, $6, $7)`, i.Connection, i.ID, user, number, i.Email, flag(i.EmailVerified), i.emailKey(c))
	return err
}

// emailKey returns what is unique in the connection c, empty for nothing: the e-mail without regard to case, in a database.
func (i *Identity) emailKey(c *Connection) string {
	if c.Kind() != ConnectionDatabase {
		return ""
	}
	return addressKey(i.Email)
}

// emailIsFree checks that no other account of a database has the e-mail of i (rule DIR-11).
func (i *Identity) emailIsFree(ctx context.Context, tx *transaction, c *Connection) error {
	key := i.emailKey(c)
	if key == "" {
		return nil
	}
	var taken int
	err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_identities WHERE connection_id = $1 AND email_key = $2 AND id <> $3`,
		i.Connection, key, i.ID).Scan(&taken)
	if err == nil && taken > 0 {
		err = &Conflict{"user", "email"}
	}
	return err
}

// addressIdentity gives the first own identity of u the e-mail of u. The scope of u is locked; a connection that ends meanwhile takes
// the identity with it.
func (u *User) addressIdentity(ctx context.Context, tx *transaction) error {
	first := ""
	if err := tx.sql.QueryRowContext(ctx, `SELECT COALESCE(MAX(connection_id || '`+fieldEnd+`' || id), '') FROM orgauthz_identities
		WHERE user_id = $1 AND origin = $1 AND number = 0`, u.ID).Scan(&first); err != nil {
		return err
	}
	con, id, _ := strings.Cut(first, fieldEnd)
	n := slices.IndexFunc(u.Identities, func(i Identity) bool { return i.Connection == con && i.ID == id })
	if n < 0 {
		return nil
	}
	c, err := connection(ctx, tx.sql, con)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	u.Identities = slices.Clone(u.Identities)
	i := &u.Identities[n]
	i.Email, i.EmailVerified = u.Email, u.EmailVerified
	if err := i.emailIsFree(ctx, tx, c); err != nil {
		return err
	}
	_, err = tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_identities SET email = $3, email_verified = $4, email_key = $5 WHERE connection_id = $1 AND id = $2`,
		con, id, i.Email, flag(i.EmailVerified), i.emailKey(c))
	return err
}

// GetByIdentity returns the user whose account at a connection this is. Errors: NotFound (user).
func (s *Users) GetByIdentity(ctx context.Context, connection, id string) (*User, error) {
	if !validID("con_", connection) || !validUserID(id) {
		return nil, &NotFound{"user"}
	}
	return read(ctx, s.e, func(q queryer) (*User, error) {
		return one(scanUser(q.QueryRowContext(ctx, liveUsers+` AND id = (SELECT i.user_id FROM orgauthz_identities i
			JOIN orgauthz_connections c ON c.id = i.connection_id AND c.deleted_at IS NULL
			WHERE i.connection_id = $1 AND i.id = $2)`, connection, id)))("user")
	})
}

// Link makes two users one: the identities of the second become the first's, and the second is deleted, with all memberships and
// metadata (rule DIR-12). Unlink takes them apart again.
//
// Errors: NotFound (user), Invalid (DIR-12: the second is the first, is blocked, or has no identity; MEM-6: an isolated connection, and
// the first is a member of several organizations), Conflict (organization owner; MEM-5), Limit (identities per user).
func (s *Users) Link(ctx context.Context, first, second string) (Result, error) {
	if first == second {
		return Result{}, &Invalid{"user_id", "DIR-12", "must be two different users"}
	}
	return s.e.mutate(ctx, call{"users.link", first, second}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:users"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{UserScope(first), UserScope(second)}, nil); err != nil {
			return err
		}
		u, err := user(ctx, tx.sql, first)
		if err != nil {
			return err
		}
		other, err := user(ctx, tx.sql, second)
		if err != nil {
			return err
		}
		switch {
		case other.Blocked:
			return &Invalid{"user_id", "DIR-12", "must not be blocked to be linked"}
		case len(other.Identities) == 0:
			return &Invalid{"user_id", "DIR-12", "must have an identity to be linked"}
		case len(u.Identities)+len(other.Identities) > maxIdentities:
			return &Limit{"identities per user", maxIdentities}
		}
		var isolated, memberships int
		if err := tx.sql.QueryRowContext(ctx, `
			SELECT (SELECT COUNT(*) FROM orgauthz_identities i JOIN orgauthz_connections c ON c.id = i.connection_id
				WHERE i.user_id = $2 AND c.isolated = 1),
			(SELECT COUNT(*) FROM orgauthz_members m JOIN orgauthz_organizations o ON o.id = m.org_id AND o.deleted_at IS NULL
				WHERE m.user_id = $1)`, first, second).Scan(&isolated, &memberships); err != nil {
			return err
		}
		if isolated > 0 && memberships > 1 {
			return &Invalid{"user_id", "MEM-6", "must be a member of at most one organization to have an identity of an isolated connection"}
		}
		if err := checkOwnerships(ctx, tx, second); err != nil {
			return err
		}
		if err := moveIdentities(ctx, tx, second, first, `1 = 1`); err != nil {
			return err
		}
		if err := deletePrincipal(ctx, tx, second); err != nil {
			return err
		}
		after, err := touched(ctx, tx, first)
		if err != nil {
			return err
		}
		if err := tx.raise(ctx, UserScope(first), "", "user.linked", u, after); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(second), "", "user.deleted", other, nil)
	})
}

// moveIdentities gives identities of one user to another one, behind those that it has.
func moveIdentities(ctx context.Context, tx *transaction, from, to, which string) error {
	// Those of a user without any begin with 0: that is where the user's own are.
	var by int
	if err := tx.sql.QueryRowContext(ctx, `
		SELECT (SELECT COALESCE(MAX(number), -1) + 1 FROM orgauthz_identities WHERE user_id = $2) -
			(SELECT MIN(number) FROM orgauthz_identities WHERE user_id = $1 AND `+which+`)`, from, to).Scan(&by); err != nil {
		return err
	}
	_, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_identities SET user_id = $2, number = number + $3 WHERE user_id = $1 AND `+which, from, to, by)
	return err
}

// touched sets the time of a user's update, and returns the user as it is now.
func touched(ctx context.Context, tx *transaction, id string) (*User, error) {
	at, err := tx.now(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_users SET updated_at = $2 WHERE id = $1`, id, at.UnixMicro()); err != nil {
		return nil, err
	}
	return user(ctx, tx.sql, id)
}

// Unlink ends a link: the user that the identity was of before becomes a user again, with the id of that time, all identities that it
// brought, the e-mail of the first of them, and nothing else (rule DIR-12). It returns that user.
//
// Errors: NotFound (user or identity), Invalid (DIR-12: the identity is the user's own), Conflict (id: somebody else has it now).
func (s *Users) Unlink(ctx context.Context, id, connection, identity string) (*User, Result, error) {
	var v User
	return create(ctx, s.e, call{"users.unlink", id, connection, identity}, &v, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:users"); err != nil {
			return err
		}
		before, err := user(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(before.Identities, func(i Identity) bool { return i.Connection == connection && i.ID == identity }) {
			return &NotFound{"identity"}
		}
		const find = `SELECT origin FROM orgauthz_identities WHERE user_id = $1 AND connection_id = $2 AND id = $3`
		var origin, now string
		if err := tx.sql.QueryRowContext(ctx, find, id, connection, identity).Scan(&origin); err != nil {
			return err
		}
		if origin == id {
			return &Invalid{"identity", "DIR-12", "must be one that was linked"}
		}
		if err := tx.lock(ctx, []Scope{UserScope(id), UserScope(origin)}, nil); err != nil {
			return err
		}
		if before, err = user(ctx, tx.sql, id); err != nil {
			return err
		}
		// As long as it is linked, it is of the same user.
		_, err = one(&now, tx.sql.QueryRowContext(ctx, find, id, connection, identity).Scan(&now))("identity")
		if err == nil && now != origin {
			err = &NotFound{"identity"}
		}
		if err != nil {
			return err
		}
		if err := principal(ctx, tx.sql, origin); !errors.Is(err, ErrNotFound) {
			if err == nil {
				return &Conflict{"user", "id"}
			}
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		again := User{ID: origin, CreatedAt: at, UpdatedAt: at}
		if err := tx.sql.QueryRowContext(ctx, `SELECT email, email_verified FROM orgauthz_identities
			WHERE user_id = $1 AND origin = $2 ORDER BY number LIMIT 1`, id, origin).Scan(&again.Email, &again.EmailVerified); err != nil {
			return err
		}
		again.EmailVerified = again.EmailVerified && again.Email != ""
		if err := again.insert(ctx, tx, "{}", "{}"); err != nil {
			return err
		}
		if err := moveIdentities(ctx, tx, id, origin, `origin = $2`); err != nil {
			return err
		}
		after, err := touched(ctx, tx, id)
		if err != nil {
			return err
		}
		made, err := user(ctx, tx.sql, origin)
		if err != nil {
			return err
		}
		v = *made
		if err := tx.raise(ctx, UserScope(id), "", "user.unlinked", before, after); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(origin), "", "user.created", nil, made)
	})
}

// encodeObject returns the JSON of metadata of a user.
func encodeObject(field string, object map[string]any) (string, error) {
	if len(object) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(object)
	// What is no UTF-8 would be replaced, by what is written like this; the character itself is not.
	replaced := strings.Contains(strings.ReplaceAll(string(text), `\\`, ""), `\ufffd`)
	if err != nil || replaced || len(text) > maxObject {
		return "", &Invalid{field, "DIR-11", "must be a JSON object of at most 16,384 bytes in valid UTF-8"}
	}
	return string(text), nil
}

func decodeObject(text string) (object map[string]any, err error) {
	if text == "{}" || text == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &object)
	return object, err
}

// patchedObject returns object with patch applied: a nil value removes its key.
func patchedObject(object, patch map[string]any) map[string]any {
	if len(patch) == 0 {
		return object
	}
	sum := maps.Clone(object)
	if sum == nil {
		sum = map[string]any{}
	}
	for key, value := range patch {
		if value == nil {
			delete(sum, key)
		} else {
			sum[key] = value
		}
	}
	return sum
}
