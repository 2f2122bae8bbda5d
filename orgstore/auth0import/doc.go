// Package auth0import turns what Auth0's Management API returns into the format that orgstore.Engine.Import reads, so that a tenant
// can move in. It talks to nobody: fetch the JSON with any tool, put it into files, and convert them.
//
//	report, err := auth0import.Convert(os.DirFS("tenant"), out)
//	…
//	result, err := engine.Import(ctx, in, orgstore.ImportOptions{})
//
// Each file has all pages of one endpoint behind each other, in any of the shapes that the API has: bare arrays, objects with totals
// (include_totals), objects with a cursor (take). None has to be there; what the others refer to without it is left out, and told.
//
//	resource-servers.json                       GET /api/v2/resource-servers
//	roles.json                                  GET /api/v2/roles
//	roles/ROLE/permissions.json                 GET /api/v2/roles/{id}/permissions
//	connections.json                            GET /api/v2/connections
//	clients.json                                GET /api/v2/clients
//	client-grants.json                          GET /api/v2/client-grants
//	users.json                                  GET /api/v2/users, or the lines of an export job
//	organizations.json                          GET /api/v2/organizations
//	organizations/ORG/enabled_connections.json  GET /api/v2/organizations/{id}/enabled_connections
//	organizations/ORG/discovery-domains.json    GET /api/v2/organizations/{id}/discovery-domains
//	organizations/ORG/clients.json              GET /api/v2/organizations/{id}/clients
//	organizations/ORG/client-grants.json        GET /api/v2/organizations/{id}/client-grants
//	organizations/ORG/members.json              GET /api/v2/organizations/{id}/members, with fields=user_id,email,name,picture,roles
//	organizations/ORG/members/USER/roles.json   GET /api/v2/organizations/{id}/members/{user_id}/roles, where members.json has none
//	organizations/ORG/invitations.json          GET /api/v2/organizations/{id}/invitations
//
// ROLE and ORG are ids, USER is an id as in a URL (auth0%7Cemilio). Memory holds the ids of users and little else.
//
// Ids stay as they are, so that tokens and logs keep their meaning. The Report says what could not be carried over, and why: secrets,
// settings of identity providers and applications that stay where they are, and what this module has no place for.
package auth0import
