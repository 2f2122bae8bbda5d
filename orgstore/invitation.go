package orgstore

// Invitations invite people into organizations.
type Invitations struct{ e *Engine }
