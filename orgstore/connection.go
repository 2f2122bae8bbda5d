package orgstore

// Connections are the connections of an Engine's tenant: where users prove who they are.
type Connections struct{ e *Engine }
