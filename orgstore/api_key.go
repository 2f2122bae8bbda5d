package orgstore

// APIKeys are the API keys of organizations.
type APIKeys struct{ e *Engine }
