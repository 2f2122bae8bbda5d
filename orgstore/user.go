package orgstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// User is one user of the directory: somebody who can be a member of organizations.
type User struct {
	ID            string `json:"user_id"` // the subject of the user's tokens, for example "auth0|emilio"; at most 1,024 printable bytes
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name,omitempty"`
	Picture       string `json:"picture,omitempty"` // URL
	Blocked       bool   `json:"blocked"`
	// AppMetadata and UserMetadata are JSON objects of at most 16,384 bytes each; nil when empty. Numbers are read as float64.
	AppMetadata  map[string]any `json:"app_metadata,omitempty"`
	UserMetadata map[string]any `json:"user_metadata,omitempty"`
	// Identities are the accounts by which the user logs in (rule DIR-10): the user's own first, then those that were linked. None for
	// a user that only tokens tell of.
	Identities []Identity `json:"identities,omitempty"`
	CreatedAt  time.Time  `json:"created_at"` // UTC
	UpdatedAt  time.Time  `json:"updated_at"` // UTC
}

// UserUpdate says what to change of a user. What is nil stays as it is.
type UserUpdate struct {
	Email         *string        // "" clears it; another one is not verified, unless EmailVerified says so
	EmailVerified *bool          // of the e-mail that the user has then
	Name          *string        // "" clears it
	Picture       *string        // "" clears it
	AppMetadata   map[string]any // sets these keys; a nil value removes its key; other keys stay
	UserMetadata  map[string]any // the same
}

// UserListOptions selects a page of users. Filters that are empty admit everything.
type UserListOptions struct {
	ListOptions
	Query      string // only those whose e-mail or name begins with it, in any case
	Blocked    *bool  // only those that are blocked, or that are not
	Connection string // only those with an identity there, by id
}

// Users are the users of an Engine's directory.
type Users struct{ e *Engine }

const (
	userColumns = `id, email, email_verified, name, picture, blocked, app_metadata, user_metadata, created_at, updated_at, ` + userIdentities
	liveUsers   = `SELECT ` + userColumns + ` FROM orgauthz_users WHERE kind = 'user'`
)

func scanUser(row scanner) (*User, error) {
	var u User
	var app, own, identities string
	var created, updated int64
	err := row.Scan(&u.ID, &u.Email, &u.EmailVerified, &u.Name, &u.Picture, &u.Blocked, &app, &own, &created, &updated, &identities)
	if err != nil {
		return nil, err
	}
	u.CreatedAt, u.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	u.Identities = scanIdentities(identities)
	u.AppMetadata, err = decodeObject(app)
	if err == nil {
		u.UserMetadata, err = decodeObject(own)
	}
	return &u, err
}

func user(ctx context.Context, q queryer, id string) (*User, error) {
	if !validUserID(id) {
		return nil, &NotFound{"user"}
	}
	return one(scanUser(q.QueryRowContext(ctx, liveUsers+` AND id = $1`, id)))("user")
}

// principal is an error unless id is whoever can be a member: a user, or the principal of an application.
func principal(ctx context.Context, q queryer, id string) error {
	if !validUserID(id) {
		return &NotFound{"user"}
	}
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_users WHERE id = $1`, id).Scan(&n)
	if err == nil && n == 0 {
		err = &NotFound{"user"}
	}
	return err
}

// check checks u, and gives its metadata the form that it is read with. It returns that form's text.
func (u *User) check() (app, own string, err error) {
	err = errors.Join(checkText("email", "", u.Email, maxEmail), checkText("name", "", u.Name, maxUserName),
		checkText("picture", "", u.Picture, maxPicture))
	if u.Email == "" && u.EmailVerified {
		err = errors.Join(err, &Invalid{"email_verified", "DIR-11", "must be false where there is no e-mail"})
	}
	for _, m := range []struct {
		field  string
		object *map[string]any
		text   *string
	}{{"app_metadata", &u.AppMetadata, &app}, {"user_metadata", &u.UserMetadata, &own}} {
		var e error
		if *m.text, e = encodeObject(m.field, *m.object); e == nil {
			*m.object, e = decodeObject(*m.text)
		}
		err = errors.Join(err, e)
	}
	return app, own, err
}

// person returns id, e-mail address and name of a user, or of an application's principal.
func person(ctx context.Context, q queryer, id string) (*User, error) {
	if !validUserID(id) {
		return nil, &NotFound{"user"}
	}
	u := User{ID: id}
	return one(&u, q.QueryRowContext(ctx, `SELECT email, name FROM orgauthz_users WHERE id = $1`, id).Scan(&u.Email, &u.Name))("user")
}

// Create makes a user of u, whose ID must be given. The times of u are ignored; its first identity without an e-mail gets the
// user's. The id of a deleted user can be used again, because it is the identity provider's: it begins without any membership.
//
// Errors: Invalid (DIR-10, DIR-11), NotFound (connection), Conflict (id, identity, or email in a database, taken), Limit
// (identities per user).
func (s *Users) Create(ctx context.Context, u User) (*User, Result, error) {
	given := u
	app, own, err := u.check()
	if !validUserID(u.ID) {
		err = errors.Join(err, &Invalid{"user_id", "", "must be 1 to 1,024 bytes of printable characters"})
	}
	if err := errors.Join(err, u.checkIdentities()); err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"users.create", given}, &u, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:users"); err != nil {
			return err
		}
		var connections []Scope
		for _, i := range u.Identities {
			connections = append(connections, ConnectionScope(i.Connection))
		}
		if err := tx.lock(ctx, []Scope{UserScope(u.ID)}, connections); err != nil {
			return err
		}
		if err := principal(ctx, tx.sql, u.ID); !errors.Is(err, ErrNotFound) {
			if err == nil {
				return &Conflict{"user", "id"}
			}
			return err
		}
		if u.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		u.UpdatedAt = u.CreatedAt
		if err := u.insert(ctx, tx, app, own); err != nil {
			return err
		}
		for n := range u.Identities {
			if err := u.Identities[n].insert(ctx, tx, u.ID, n); err != nil {
				return err
			}
		}
		return tx.raise(ctx, UserScope(u.ID), "", "user.created", nil, &u)
	})
}

// insert writes u, without identities.
func (u *User) insert(ctx context.Context, tx *transaction, app, own string) error {
	_, err := tx.sql.ExecContext(ctx, `
		INSERT INTO orgauthz_users (id, kind, email, email_verified, email_key, name, name_key, picture, blocked, app_metadata,
			user_metadata, created_at, updated_at)
		VALUES ($1, 'user', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
		u.ID, u.Email, flag(u.EmailVerified), strings.ToLower(u.Email), u.Name, strings.ToLower(u.Name), u.Picture, flag(u.Blocked),
		app, own, u.CreatedAt.UnixMicro())
	return err
}

// flag is how a boolean is stored.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Get returns the user with this id. Errors: NotFound.
func (s *Users) Get(ctx context.Context, id string) (*User, error) {
	return read(ctx, s.e, func(q queryer) (*User, error) { return user(ctx, q, id) })
}

var userList = listing[*User]{
	name:  "users",
	query: liveUsers,
	id:    "id",
	sorts: map[Sort]string{SortName: "name", SortCreated: "created_at"},
	scan:  scanUser,
	key: func(u *User, by Sort) (any, string) {
		if by == SortName {
			return u.Name, u.ID
		}
		return u.CreatedAt.UnixMicro(), u.ID
	},
}

// List returns a page of the users that opts admits, by id, name or created_at. A connection that is none gives an empty page.
func (s *Users) List(ctx context.Context, opts UserListOptions) (Page[*User], error) {
	l := userList
	if opts.Query != "" {
		if _, _, err := beginning(opts.Query); err != nil { // what is no UTF-8 has no lower case
			return Page[*User]{}, err
		}
		from, to, err := beginning(strings.ToLower(opts.Query))
		if err != nil {
			return Page[*User]{}, err
		}
		l.query += ` AND (name_key >= $1 AND name_key < $2 OR email_key >= $1 AND email_key < $2)`
		l.args = []any{from, to}
	}
	if opts.Blocked != nil {
		// No parameter: the indexes of those that are blocked have none of the others.
		l.query += fmt.Sprintf(` AND blocked = %d`, flag(*opts.Blocked))
	}
	if opts.Connection != "" {
		l = l.where(`id IN (SELECT i.user_id FROM orgauthz_identities i
			JOIN orgauthz_connections c ON c.id = i.connection_id AND c.deleted_at IS NULL WHERE c.id = ? {after i.user_id})`,
			validID("con_", opts.Connection), opts.Connection)
	}
	return l.read(ctx, s.e, opts.ListOptions)
}

// Update changes what u names. Errors: NotFound, Invalid (DIR-11), Conflict (email, in the database of the user's own identity).
func (s *Users) Update(ctx context.Context, id string, u UserUpdate) (Result, error) {
	return s.change(ctx, call{"users.update", id, u}, id, "user.updated", func(user *User) {
		if u.Email != nil {
			user.EmailVerified = user.EmailVerified && sameAddress(*u.Email, user.Email)
			user.Email = *u.Email
		}
		set(&user.EmailVerified, u.EmailVerified)
		set(&user.Name, u.Name)
		set(&user.Picture, u.Picture)
		user.AppMetadata = patchedObject(user.AppMetadata, u.AppMetadata)
		user.UserMetadata = patchedObject(user.UserMetadata, u.UserMetadata)
	})
}

// Block refuses the user's access to every organization at once; memberships stay (rule MEM-3). Errors: NotFound.
func (s *Users) Block(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"users.block", id}, id, "user.blocked", func(u *User) { u.Blocked = true })
}

// Unblock ends a block. Errors: NotFound.
func (s *Users) Unblock(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"users.unblock", id}, id, "user.unblocked", func(u *User) { u.Blocked = false })
}

func (s *Users) change(ctx context.Context, c call, id, eventType string, edit func(*User)) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:users"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{UserScope(id)}, nil); err != nil {
			return err
		}
		before, err := user(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		u := *before
		edit(&u)
		app, own, err := u.check()
		if err != nil || reflect.DeepEqual(&u, before) {
			return err
		}
		if u.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_users SET email = $2, email_verified = $3, email_key = $4, name = $5, name_key = $6, picture = $7,
				blocked = $8, app_metadata = $9, user_metadata = $10, updated_at = $11
			WHERE id = $1`,
			id, u.Email, flag(u.EmailVerified), strings.ToLower(u.Email), u.Name, strings.ToLower(u.Name), u.Picture, flag(u.Blocked),
			app, own, u.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if u.Name != before.Name || u.Email != before.Email {
			if err := renameMember(ctx, tx, id, u.Name, u.Email); err != nil {
				return err
			}
		}
		if u.Email != before.Email || u.EmailVerified != before.EmailVerified {
			if err := u.addressIdentity(ctx, tx); err != nil {
				return err
			}
		}
		return tx.raise(ctx, UserScope(id), "", eventType, before, &u)
	})
}

// Delete removes the user from the directory and from every organization at once (rule MEM-3): one change of the user, none
// of the memberships that end with it. Deleting one that is not there changes nothing.
//
// Errors: Conflict (organization owner: an organization would be left without the owner that it demands; rule MEM-5).
func (s *Users) Delete(ctx context.Context, id string) (Result, error) {
	return s.delete(ctx, call{"users.delete", id}, id, checkOwnerships)
}

// ForceDelete is Delete even where it leaves an organization without the owner that it demands: the directory's right, where
// somebody has gone for good. Appoint another one there.
func (s *Users) ForceDelete(ctx context.Context, id string) (Result, error) {
	return s.delete(ctx, call{"users.forceDelete", id}, id, func(context.Context, *transaction, string) error { return nil })
}

func (s *Users) delete(ctx context.Context, c call, id string,
	check func(ctx context.Context, tx *transaction, id string) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "delete:users"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{UserScope(id)}, nil); err != nil {
			return err
		}
		u, err := user(ctx, tx.sql, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := check(ctx, tx, id); err != nil {
			return err
		}
		if err := deletePrincipal(ctx, tx, id); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(id), "", "user.deleted", u, nil)
	})
}

// deletePrincipal deletes a user, or the principal of an application, with all memberships. Its scope is locked.
func deletePrincipal(ctx context.Context, tx *transaction, id string) error {
	// Not left for later: the id may come back, and must then begin without memberships.
	orgs, err := collect(ctx, tx.sql, `SELECT org_id FROM orgauthz_members WHERE user_id = $1 ORDER BY org_id`, []any{id},
		func(row scanner) (org string, err error) { return org, row.Scan(&org) })
	if err != nil {
		return err
	}
	for _, org := range orgs {
		if err := removeMember(ctx, tx, org, id); err != nil {
			return err
		}
	}
	if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_identities WHERE user_id = $1`, id); err != nil {
		return err
	}
	_, err = tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_users WHERE id = $1`, id)
	return err
}

// renameMember gives the memberships of a principal its name and e-mail address, by which they are listed and found. Its scope is
// locked; no membership is changed by it.
func renameMember(ctx context.Context, tx *transaction, id, name, email string) error {
	_, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_members SET name = $2, name_key = $3, email_key = $4 WHERE user_id = $1`,
		id, name, searchable(name), searchable(email))
	return err
}
