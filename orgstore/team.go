package orgstore

// Teams are the teams of organizations.
type Teams struct{ e *Engine }
