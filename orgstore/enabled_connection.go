package orgstore

// EnabledConnections are the connections that are enabled for organizations.
type EnabledConnections struct{ e *Engine }
