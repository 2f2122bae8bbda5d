// Package orgstore holds the organizations of a B2B product: who is a member of which, with which roles, and what these
// roles permit. It answers, for every request, what a principal is in an organization.
//
// The Engine owns the data and every rule about it. Backends open one on their database:
//
//	engine, err := sqlite.Open(ctx, "orgs.db", orgstore.Config{})
//
//	acme, _, err := engine.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
//	guide, _, err := engine.Roles.Create(ctx, orgstore.Role{Name: "guide", Permissions: []string{"read:adventures"}})
//	_, _, err = engine.Users.Create(ctx, orgstore.User{ID: "auth0|emilio"})
//	_, err = engine.Members.Add(ctx, acme.ID, "auth0|emilio", orgstore.MemberOptions{Roles: []string{guide.ID}})
//
//	access, err := engine.Resolve(ctx, orgstore.Query{Org: "acme", Principal: "auth0|emilio"})
//	// access.Standing == orgstore.StandingMember, access.Member.Has("read:adventures")
//
// # The nouns
//
// Operations are grouped by noun, as fields of the Engine:
//
//	Organizations        customer organizations: names, branding, metadata, policies of security, suspension, deletion, their tree
//	Members              who belongs to which, by which way, for how long, with which roles; one at a time or 10,000
//	Roles                permissions with a name, of the tenant or of one organization
//	Teams, Groups        who holds roles together: within an organization, or as an enterprise's directory says
//	Contracts            members of one organization as guests of another
//	Invitations          people asked to join; Requests: people who ask
//	EnabledConnections   where an organization's people log in; DiscoveryDomains: by which e-mail domains it is found
//	OrganizationClients  which applications may be used with an organization; Templates: its pages and e-mails
//	APIKeys              programs that act as a member
//	Users, Connections   the directory: people, their accounts, and where they prove who they are
//	Clients, APIs        applications and what they call; ClientGrants: as themselves
//	Sessions             logins, the organizations that they have entered, refresh tokens
//	Tenant               settings of the whole store
//	Events               who changed what, when: the audit log, and what others follow
//
// RULES.md beside this file has every rule that they keep. Package login decides what a login asks and what comes of it; package
// auth0import moves an Auth0 tenant in. Engine.As bounds all of them by the rights of one user, for delegated administration.
//
// Every operation that changes something returns a Result, which says whether there was anything to do and which revisions it
// raised; Create returns what it made before it. Errors are of few categories: ErrNotFound, ErrConflict, ErrInvalid, ErrLimit,
// ErrDenied, ErrUnavailable.
//
// Lists are pages by a cursor, which stay right while items come and go: see ListOptions.
//
// # Transactions, events, care
//
// Transact puts several of them, and the caller's own SQL in the same database, into one transaction; In joins one that the caller
// commits. WithIdempotencyKey makes it safe to repeat a mutation whose answer was lost, and Verify finds what is wrong in a database.
//
// Every change writes events. Events.List is the audit log; Events.Follow tells each event once, from a cursor that the caller
// keeps, and Engine.Poll tells caches what to read again. Events.Prune and Clean are to be called now and then.
//
// Engine.Export writes all that a store holds as lines of JSON, and Import reads them into another one, on whatever database.
//
// # Promises
//
//   - A mutation that returned nil is durable, and every later Resolve of every Engine on the database sees it.
//   - Resolve answers from one snapshot with one statement, or with a second one where teams, groups, an organization above or
//     contracts count. Each reads few rows by their keys, whatever the number of members and organizations.
//   - A "no" is an Access with another Standing than StandingMember; an error means "not known" and is an ErrUnavailable or
//     the context's. Nothing is ever guessed.
//   - Whatever can change an answer has a revision, and every change raises those of the scopes that it changed, in the same
//     transaction, with an event for each. A change that changes nothing raises nothing.
//   - What is deleted is gone at once: no request that begins after Delete returned sees it. Ids of organizations and roles
//     are never given again.
//
// # What it does not do
//
// It does not authenticate, and it does not check who calls it, except by As: guard the routes from which you call it. It sends no
// e-mail and looks nothing up: verifying a domain takes the resolver that it is given. It caches nothing; package cached does, and
// is told of every commit by OnCommit.
package orgstore
