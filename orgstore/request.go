package orgstore

// Requests are what people ask who want to be members.
type Requests struct{ e *Engine }
