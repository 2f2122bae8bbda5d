package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// User is one user of the directory: somebody who can be a member of organizations.
type User struct {
	ID        string    `json:"user_id"` // the subject of the user's tokens, for example "auth0|emilio"; at most 1,024 printable bytes
	Email     string    `json:"email,omitempty"`
	Name      string    `json:"name,omitempty"`
	Blocked   bool      `json:"blocked"`
	CreatedAt time.Time `json:"created_at"` // UTC
	UpdatedAt time.Time `json:"updated_at"` // UTC
}

// UserUpdate says what to change of a user. What is nil stays as it is.
type UserUpdate struct {
	Email *string // "" clears it
	Name  *string // "" clears it
}

// Users are the users of an Engine's directory.
type Users struct{ e *Engine }

const userColumns = `id, email, name, blocked, created_at, updated_at`

func scanUser(row scanner) (*User, error) {
	var u User
	var created, updated int64
	err := row.Scan(&u.ID, &u.Email, &u.Name, &u.Blocked, &created, &updated)
	u.CreatedAt, u.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &u, err
}

func user(ctx context.Context, q queryer, id string) (*User, error) {
	if !validUserID(id) {
		return nil, &NotFound{"user"}
	}
	return one(scanUser(q.QueryRowContext(ctx, `SELECT `+userColumns+` FROM orgauthz_users WHERE id = $1 AND kind = 'user'`, id)))("user")
}

// principal reads the name of whoever can be a member: a user, or the principal of an application.
func principal(ctx context.Context, q queryer, id string) (name string, err error) {
	if !validUserID(id) {
		return "", &NotFound{"user"}
	}
	err = q.QueryRowContext(ctx, `SELECT name FROM orgauthz_users WHERE id = $1`, id).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		err = &NotFound{"user"}
	}
	return name, err
}

func (u *User) check() error {
	return errors.Join(checkText("email", "", u.Email, maxEmail), checkText("name", "", u.Name, maxUserName))
}

// person returns id, e-mail address and name of a user, or of an application's principal.
func person(ctx context.Context, q queryer, id string) (*User, error) {
	if !validUserID(id) {
		return nil, &NotFound{"user"}
	}
	u := User{ID: id}
	return one(&u, q.QueryRowContext(ctx, `SELECT email, name FROM orgauthz_users WHERE id = $1`, id).Scan(&u.Email, &u.Name))("user")
}

// Create makes a user of u, whose ID must be given. The times of u are ignored. The id of a deleted user can be used again,
// because it is the identity provider's: it begins without any membership.
//
// Errors: Invalid, Conflict (id taken).
func (s *Users) Create(ctx context.Context, u User) (*User, Result, error) {
	err := u.check()
	if !validUserID(u.ID) {
		err = errors.Join(err, &Invalid{"user_id", "", "must be 1 to 1,024 bytes of printable characters"})
	}
	if err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"users.create", u}, &u, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{UserScope(u.ID)}, nil); err != nil {
			return err
		}
		if _, err := principal(ctx, tx.sql, u.ID); !errors.Is(err, ErrNotFound) {
			if err == nil {
				return &Conflict{"user", "id"}
			}
			return err
		}
		if u.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		u.UpdatedAt = u.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_users (id, kind, email, name, blocked, created_at, updated_at) VALUES ($1, 'user', $2, $3, $4, $5, $5)`,
			u.ID, u.Email, u.Name, flag(u.Blocked), u.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(u.ID), "", "user.created", nil, &u)
	})
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
	query: `SELECT ` + userColumns + ` FROM orgauthz_users WHERE kind = 'user'`,
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

// UserListOptions selects a page of users.
type UserListOptions struct {
	ListOptions
}

// List returns a page of the users, by id, name or created_at.
func (s *Users) List(ctx context.Context, opts UserListOptions) (Page[*User], error) {
	return userList.read(ctx, s.e, opts.ListOptions)
}

// Update changes what u names. Errors: NotFound, Invalid.
func (s *Users) Update(ctx context.Context, id string, u UserUpdate) (Result, error) {
	return s.change(ctx, call{"users.update", id, u}, id, "user.updated", func(user *User) error {
		if u.Email != nil {
			user.Email = *u.Email
		}
		if u.Name != nil {
			user.Name = *u.Name
		}
		return user.check()
	})
}

// Block refuses the user's access to every organization at once; memberships stay (rule MEM-3). Errors: NotFound.
func (s *Users) Block(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"users.block", id}, id, "user.blocked", func(u *User) error {
		u.Blocked = true
		return nil
	})
}

// Unblock ends a block. Errors: NotFound.
func (s *Users) Unblock(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"users.unblock", id}, id, "user.unblocked", func(u *User) error {
		u.Blocked = false
		return nil
	})
}

func (s *Users) change(ctx context.Context, c call, id, eventType string, edit func(*User) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{UserScope(id)}, nil); err != nil {
			return err
		}
		before, err := user(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		u := *before
		if err := edit(&u); err != nil {
			return err
		}
		if u == *before {
			return nil
		}
		if u.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_users SET email = $2, name = $3, blocked = $4, updated_at = $5 WHERE id = $1`,
			id, u.Email, u.Name, flag(u.Blocked), u.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if u.Name != before.Name || u.Email != before.Email {
			if err := renameMember(ctx, tx, id, u.Name, u.Email); err != nil {
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
