package orgstore

// Groups are the groups of enterprise connections.
type Groups struct{ e *Engine }
