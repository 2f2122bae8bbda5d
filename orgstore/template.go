package orgstore

// Templates are the page and e-mail templates of the tenant, of applications and of organizations.
type Templates struct{ e *Engine }
