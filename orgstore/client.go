package orgstore

// Clients are the applications of an Engine's tenant.
type Clients struct{ e *Engine }
