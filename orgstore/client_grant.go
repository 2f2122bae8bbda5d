package orgstore

// ClientGrants say at which APIs, and in which organizations, applications act for themselves.
type ClientGrants struct{ e *Engine }
