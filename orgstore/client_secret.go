package orgstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
)

// RotateSecret gives the application a new secret, with which it proves who it is (Authenticate), and ends the old one at once. The
// secret has 260 random bits, is stored as a hash, and is returned here and never again: not when the Result says Replayed.
//
// Errors: NotFound.
func (s *Clients) RotateSecret(ctx context.Context, id string) (secret string, result Result, err error) {
	secret = rand.Text() + rand.Text()
	result, err = s.e.mutate(ctx, call{"clients.rotateSecret", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:client_keys"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ClientScope(id)}, nil); err != nil {
			return err
		}
		if _, err := client(ctx, tx.sql, id); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_clients SET secret = $2 WHERE id = $1`, id, hashSecret(secret)); err != nil {
			return err
		}
		return tx.raise(ctx, ClientScope(id), "", "client.secret.rotated", nil, nil)
	})
	if err != nil || result.Replayed {
		secret = ""
	}
	return secret, result, err
}

// hashSecret needs neither salt nor many rounds: what it hashes is random and long.
func hashSecret(secret string) string {
	hash := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(hash[:])
}

// Authenticate returns the application that has this id and secret. It takes as long whatever is wrong.
//
// Errors: NotFound, whether there is no such application, it has no secret, or another one.
func (s *Clients) Authenticate(ctx context.Context, id, secret string) (*Client, error) {
	return read(ctx, s.e, func(q queryer) (*Client, error) {
		stored := ""
		if validClientID(id) {
			err := q.QueryRowContext(ctx, `SELECT secret FROM orgauthz_clients WHERE id = $1 AND deleted_at IS NULL`, id).Scan(&stored)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return nil, err
			}
		}
		// No secret has the empty hash.
		if subtle.ConstantTimeCompare([]byte(stored), []byte(hashSecret(secret))) != 1 {
			return nil, &NotFound{"client"}
		}
		return client(ctx, q, id)
	})
}
