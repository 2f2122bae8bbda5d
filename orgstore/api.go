package orgstore

// APIs are the APIs (resource servers) of an Engine's tenant.
type APIs struct{ e *Engine }
