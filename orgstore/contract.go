package orgstore

// Contracts admit members of one organization into another.
type Contracts struct{ e *Engine }
