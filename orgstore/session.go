package orgstore

// Sessions are the login sessions of users.
type Sessions struct{ e *Engine }
