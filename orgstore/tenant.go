package orgstore

// Tenant is the settings of the whole store, as of an Auth0 tenant.
type Tenant struct{ e *Engine }
