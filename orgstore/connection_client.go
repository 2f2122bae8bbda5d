package orgstore

import (
	"context"
	"errors"
)

// EnableClients lets applications, by id, use the connection; those that do so already stay. Either all or none.
//
// Errors: NotFound (connection or client).
func (s *Connections) EnableClients(ctx context.Context, id string, clients ...string) (Result, error) {
	return s.clients(ctx, call{"connections.enableClients", id, clients}, id, "connection.client.added", clients, `
		INSERT INTO orgauthz_connection_clients (connection_id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`)
}

// DisableClients ends the use of the connection by applications, by id; those that do not use it change nothing.
//
// Errors: NotFound (connection).
func (s *Connections) DisableClients(ctx context.Context, id string, clients ...string) (Result, error) {
	return s.clients(ctx, call{"connections.disableClients", id, clients}, id, "connection.client.removed", clients,
		`DELETE FROM orgauthz_connection_clients WHERE connection_id = $1 AND client_id = $2`)
}

func (s *Connections) clients(ctx context.Context, c call, id, eventType string, clients []string, statement string) (Result, error) {
	clients = unique(clients)
	return s.change(ctx, c, id, func(tx *transaction, _ *Connection) error {
		var changed []string
		for _, clientID := range clients {
			if _, err := client(ctx, tx.sql, clientID); err != nil {
				if errors.Is(err, ErrNotFound) && eventType == "connection.client.removed" {
					continue // nothing to remove
				}
				return err
			}
			n, err := affected(tx.sql.ExecContext(ctx, statement, id, clientID))
			if err != nil {
				return err
			}
			if n > 0 {
				changed = append(changed, clientID)
			}
		}
		switch {
		case len(changed) == 0:
			return nil
		case eventType == "connection.client.removed":
			return tx.raise(ctx, ConnectionScope(id), "", eventType, changed, nil)
		}
		return tx.raise(ctx, ConnectionScope(id), "", eventType, nil, changed)
	}, clients...)
}
