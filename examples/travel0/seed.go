package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// The organizations have fixed ids, because an organization's own policy lies in a folder that ends with its id.
const (
	graniteID    = "org_GraniteOutpost01"
	adventurezID = "org_AdventureZ000001"
	rockyID      = "org_RockyMountain001"
	contractID   = "ctr_AdventureZRocky1" // between the last two
)

// What the API calls the kinds of members that a customer has.
const (
	staff     = "staff"
	freelance = "freelance"
)

// kinds are the engine's kinds of members, by what the API calls them.
var kinds = map[string]string{staff: "employee", freelance: "freelancer"}

// clientID is the application that people log in to.
const clientID = "adventure-management"

// The connections: a database of passwords that Travel0 keeps, and the identity providers of two customers.
const (
	database      = "travel0-users"
	graniteSSO    = "granite-sso"
	adventurezSSO = "adventurez-sso"
)

var connections = []orgstore.Connection{
	{Name: database, Strategy: "auth0", DisplayName: "Travel0"},
	{Name: graniteSSO, Strategy: "okta", DisplayName: "Granite Outpost", Domains: []string{"granite.example"}},
	{Name: adventurezSSO, Strategy: "samlp", DisplayName: "AdventureZ", Domains: []string{"adventurez.example"}},
}

// The organizations, each with the connections that its people log in through.
var organizations = []struct {
	id, name, displayName string
	connections           []string
	hidden                []string // on no page: the e-mail addresses of their people lead to them
}{
	{graniteID, "granite-outpost", "Granite Outpost", []string{database, graniteSSO}, nil},
	{adventurezID, "adventurez", "AdventureZ", []string{adventurezSSO}, nil},
	{rockyID, "rocky-mountain-high", "Rocky Mountain High", []string{database}, []string{adventurezSSO}},
}

var roles = []struct {
	name        string
	permissions []string
}{
	{"admin", []string{
		"read:adventures", "create:adventures", "read:ratings", "create:ratings", "read:members", "create:members", "delete:members",
		"read:contracts", "delete:contracts", "read:invitations", "create:invitations",
	}},
	{"manager", []string{"read:adventures", "create:adventures", "read:ratings", "create:ratings", "read:members", "read:contracts"}},
	{"guide", []string{"read:adventures", "create:signups", "read:ratings"}},
}

// The people, each with the accounts by which they log in. Whoever is invited comes besides.
var users = []struct {
	id, email string
	accounts  []string // names of connections
}{
	{"jonno", "jonno@example.com", []string{database}},
	{"hiroko", "hiroko@granite.example", []string{database, graniteSSO}},
	{"emilio", "emilio@example.com", []string{database}},
	{"sumana", "sumana@adventurez.example", []string{adventurezSSO}},
	{"lena", "lena@adventurez.example", []string{adventurezSSO}},
	{"granite-admin", "admin@granite.example", []string{graniteSSO}},
	{"granite-manager", "manager@granite.example", []string{graniteSSO}},
	{"adventurez-admin", "admin@adventurez.example", []string{adventurezSSO}},
	{"adventurez-manager", "manager@adventurez.example", []string{adventurezSSO}},
	{"rocky-admin", "admin@rocky.example", []string{database}},
	{"rocky-manager", "manager@rocky.example", []string{database}},
}

var memberships = []struct{ user, org, role, employment string }{
	{"jonno", rockyID, "guide", staff},
	{"hiroko", graniteID, "guide", staff},
	{"emilio", graniteID, "guide", freelance},
	{"emilio", rockyID, "guide", freelance},
	{"sumana", adventurezID, "guide", staff},
	{"lena", adventurezID, "guide", freelance},
	{"granite-admin", graniteID, "admin", staff},
	{"granite-manager", graniteID, "manager", staff},
	{"adventurez-admin", adventurezID, "admin", staff},
	{"adventurez-manager", adventurezID, "manager", staff},
	{"rocky-admin", rockyID, "admin", staff},
	{"rocky-manager", rockyID, "manager", staff},
}

var adventures = []struct {
	org string
	adventure
}{
	{graniteID, adventure{ID: "ridge-traverse", Name: "Ridge traverse"}},
	{graniteID, adventure{ID: "quarry-night-climb", Name: "Quarry night climb", StaffOnly: true}},
	{adventurezID, adventure{ID: "canyon-zip-line", Name: "Canyon zip line"}},
	{adventurezID, adventure{ID: "white-water-rafting", Name: "White water rafting"}},
	{rockyID, adventure{ID: "alpine-lakes-loop", Name: "Alpine lakes loop"}},
	{rockyID, adventure{ID: "sunrise-summit", Name: "Sunrise summit"}},
}

var ratings = []struct {
	org, guide string
	stars      []int64
}{
	{rockyID, "jonno", []int64{5, 4}},
	{graniteID, "hiroko", []int64{5, 5, 4}},
	{graniteID, "emilio", []int64{3, 4}},
	{rockyID, "emilio", []int64{5}},
	{adventurezID, "sumana", []int64{5, 4}},
	{rockyID, "sumana", []int64{4}},
}

// seedVersion tells databases with another seed: it goes up when the seed changes.
const seedVersion = 2

// errOtherSeed is the error of a database that this program did not fill.
var errOtherSeed = errors.New("-db: the database was filled by another version of Travel0, or by another program: " +
	"give a new file, or an empty PostgreSQL database or schema")

// seed fills a database that was never seeded, in one transaction, and leaves any other as it is. It may run in several
// instances at once: the first to commit seeds. All of them get the same name for the database, which no other one has.
//
// On PostgreSQL, instances that make the tables at the same moment collide in spite of IF NOT EXISTS, and try again.
func seed(ctx context.Context, engine *orgstore.Engine) (name string, err error) {
	for range 5 {
		if name, err = seedOnce(ctx, engine); err == nil || errors.Is(err, errOtherSeed) {
			return name, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", fmt.Errorf("seeding the database: %w", err)
}

func seedOnce(ctx context.Context, engine *orgstore.Engine) (name string, err error) {
	_, err = engine.Transact(ctx, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		name = strings.ToLower(rand.Text())
		res, err := tx.ExecContext(ctx, `INSERT INTO travel0_seed (once, version, database) VALUES (1, $1, $2) ON CONFLICT DO NOTHING`,
			seedVersion, name)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			var version int
			err := tx.QueryRowContext(ctx, `SELECT version, database FROM travel0_seed`).Scan(&version, &name)
			if err == nil && version != seedVersion {
				err = errOtherSeed
			}
			return err
		}
		s := seeding{e, map[string]string{}, map[string]string{}}
		for _, part := range []func(context.Context) error{s.application, s.organizations, s.people, s.contract} {
			if err := part(ctx); errors.Is(err, orgstore.ErrConflict) {
				return errOtherSeed
			} else if err != nil {
				return err
			}
		}
		return seedCatalog(ctx, tx)
	})
	return name, err
}

// seeding fills the engine.
type seeding struct {
	*orgstore.Engine
	connections, roles map[string]string // ids by name
}

// application makes the application that people log in to, its API, and where they prove who they are.
func (s *seeding) application(ctx context.Context) error {
	_, _, err := s.Clients.Create(ctx, orgstore.Client{
		ID: clientID, Name: "Adventure Management", FirstParty: true, OIDCConformant: true,
		InitiateLoginURI:  "https://app.travel0.example/login",
		OrganizationUsage: orgstore.OrganizationRequire, OrganizationRequireBehavior: orgstore.PostLoginPrompt,
	})
	if err != nil {
		return err
	}
	permissions := map[string]bool{}
	for _, r := range roles {
		for _, p := range r.permissions {
			permissions[p] = true
		}
	}
	api := orgstore.API{
		Identifier: audience, Name: "Travel0", RBAC: true, TokenDialect: orgstore.DialectPermissions,
		TokenLifetime: int(defaultLifetime / time.Second),
	}
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		api.Permissions = append(api.Permissions, orgstore.APIPermission{Name: name})
	}
	if _, _, err := s.APIs.Create(ctx, api); err != nil {
		return err
	}
	for _, c := range connections {
		made, _, err := s.Connections.Create(ctx, c)
		if err != nil {
			return err
		}
		s.connections[c.Name] = made.ID
	}
	if _, err := s.Connections.EnableClients(ctx, s.connections[database], clientID); err != nil {
		return err
	}
	_, err = s.Tenant.Update(ctx, orgstore.TenantUpdate{
		OrganizationNames: new(true), DefaultDirectory: new(s.connections[database]),
	})
	return err
}

func (s *seeding) organizations(ctx context.Context) error {
	for _, o := range organizations {
		if _, _, err := s.Organizations.Create(ctx, orgstore.Organization{ID: o.id, Name: o.name, DisplayName: o.displayName}); err != nil {
			return err
		}
		for _, name := range slices.Concat(o.connections, o.hidden) {
			settings := orgstore.EnabledConnectionSettings{ShowAsButton: new(!slices.Contains(o.hidden, name))}
			if _, _, err := s.EnabledConnections.Add(ctx, o.id, s.connections[name], settings); err != nil {
				return err
			}
		}
	}
	for _, r := range roles {
		role, _, err := s.Roles.Create(ctx, orgstore.Role{Name: r.name, Permissions: r.permissions})
		if err != nil {
			return err
		}
		s.roles[r.name] = role.ID
	}
	return nil
}

func (s *seeding) people(ctx context.Context) error {
	for _, u := range users {
		user := orgstore.User{ID: u.id, Email: u.email, EmailVerified: true}
		for _, name := range u.accounts {
			user.Identities = append(user.Identities, orgstore.Identity{
				Connection: s.connections[name], ID: u.email, Email: u.email, EmailVerified: true,
			})
		}
		if _, _, err := s.Users.Create(ctx, user); err != nil {
			return err
		}
	}
	for _, m := range memberships {
		if _, err := s.Members.Add(ctx, m.org, m.user, orgstore.MemberOptions{
			Kind: kinds[m.employment], Roles: []string{s.roles[m.role]},
		}); err != nil {
			return err
		}
	}
	return nil
}

// contract lets any employee of AdventureZ guide for Rocky Mountain High; their ratings carry over.
func (s *seeding) contract(ctx context.Context) error {
	_, _, err := s.Contracts.Create(ctx, orgstore.Contract{ID: contractID, Host: rockyID, Guest: adventurezID, ContractTerms: orgstore.ContractTerms{
		Name: "AdventureZ guides for Rocky Mountain High", Kinds: []string{"employee"}, Roles: []string{s.roles["guide"]},
		Shares: []orgstore.Share{{Name: sharedRatings, Direction: orgstore.ShareBoth}},
	}})
	return err
}

func seedCatalog(ctx context.Context, tx *sql.Tx) error {
	for _, a := range adventures {
		if err := insertAdventure(ctx, tx, a.org, a.adventure); err != nil {
			return err
		}
	}
	for _, r := range ratings {
		for _, stars := range r.stars {
			if err := insertRating(ctx, tx, r.org, r.guide, stars); err != nil {
				return err
			}
		}
	}
	return nil
}
