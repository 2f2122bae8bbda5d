package orgstore

// DiscoveryDomains are the e-mail domains by which organizations are found.
type DiscoveryDomains struct{ e *Engine }
