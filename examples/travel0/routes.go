package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
)

// handler serves the API, the mux's own refusals as problem+json included.
func (a *app) handler() http.Handler { return middleware.Problems(a.routes()) }

// publicRoutes are those that nobody needs a token for. The test that audits the routes knows no other.
var publicRoutes = []string{"GET /healthz", "GET /.well-known/jwks.json", "POST /dev/tokens", "POST /dev/login"}

// routes is the whole API: one line per route, each naming the action that its caller must be permitted.
func (a *app) routes() *middleware.Mux {
	mux := middleware.NewMux()
	guard := a.guard

	mux.HandleFunc("GET /healthz", a.health)
	mux.Handle("GET /.well-known/jwks.json", a.signer.JWKS())
	mux.HandleFunc("POST /dev/tokens", a.mintDemoToken)
	mux.HandleFunc("POST /dev/login", a.devLogin)

	own := middleware.OrgFromToken() // these are about the caller, in whatever organization
	mux.Handle("GET /me/organizations", guard.RequireFunc("read:my_organizations", a.listMyOrganizations, own))
	mux.Handle("POST /me/switch", guard.RequireFunc("switch:organization", a.switchOrganization, own))
	mux.Handle("POST /invitations/accept", guard.RequireFunc("accept:invitation", a.acceptInvitation, own))

	mux.Handle("GET /orgs/{org}/adventures", guard.RequireFunc("read:adventures", a.listAdventures))
	mux.Handle("POST /orgs/{org}/adventures", guard.RequireFunc("create:adventures", a.createAdventure))
	mux.Handle("POST /orgs/{org}/adventures/{id}/signups", guard.RequireFunc("create:signups", a.signUp, middleware.Resource(a.loadAdventure)))
	mux.Handle("GET /orgs/{org}/guides/{user}/ratings", guard.RequireFunc("read:ratings", a.listRatings))
	mux.Handle("POST /orgs/{org}/guides/{user}/ratings", guard.RequireFunc("create:ratings", a.rate))
	mux.Handle("GET /orgs/{org}/contracts", guard.RequireFunc("read:contracts", a.listContracts))
	mux.Handle("DELETE /orgs/{org}/contracts/{contract}", guard.RequireFunc("delete:contracts", a.endContract))
	mux.Handle("GET /orgs/{org}/invitations", guard.RequireFunc("read:invitations", a.listInvitations))
	mux.Handle("POST /orgs/{org}/invitations", guard.RequireFunc("create:invitations", a.invite))
	mux.Handle("GET /orgs/{org}/members", guard.RequireFunc("read:members", a.listMembers))
	mux.Handle("POST /orgs/{org}/members", guard.RequireFunc("create:members", a.addMember))
	mux.Handle("DELETE /orgs/{org}/members/{user}", guard.RequireFunc("delete:members", a.removeMember))
	return mux
}

func (a *app) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (a *app) listAdventures(w http.ResponseWriter, r *http.Request) {
	list, err := a.catalog.adventures(r.Context(), caller(r).Org.ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"adventures": list})
}

func (a *app) createAdventure(w http.ResponseWriter, r *http.Request) {
	var name string
	var staffOnly bool
	if err := decodeBody(r, map[string]any{"name": &name, "staff_only": &staffOnly}); err != nil {
		a.refuse(w, r, err)
		return
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		problem(w, http.StatusUnprocessableEntity, "name must be 1 to 255 bytes of printable text, not counting spaces around it")
		return
	}
	created, err := a.catalog.createAdventure(r.Context(), caller(r).Org.ID, name, staffOnly)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, created)
}

// loadAdventure is the resource of the sign-up route: the policies see it as input.resource.
func (a *app) loadAdventure(r *http.Request, who *middleware.Principal) (adventure, error) {
	return a.catalog.adventure(r.Context(), who.Org.ID, r.PathValue("id"))
}

func (a *app) signUp(w http.ResponseWriter, r *http.Request) {
	who := caller(r)
	adventure := middleware.MustResource[adventure](r.Context())
	count, err := a.catalog.signUp(r.Context(), who.Org.ID, adventure.ID, who.Member.ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{"adventure": adventure.ID, "user": who.Member.ID, "signups": count})
}

func roleNames(roles []orgstore.MemberRole) []string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	return names
}

type member struct {
	User  string   `json:"user"`
	Roles []string `json:"roles"`
}

func (a *app) listMembers(w http.ResponseWriter, r *http.Request) {
	members := []member{}
	for page := (orgstore.ListOptions{Limit: 1000}); ; {
		list, err := a.engine.Members.List(r.Context(), caller(r).Org.ID, orgstore.MemberListOptions{ListOptions: page})
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		for _, m := range list.Items {
			members = append(members, member{User: m.User, Roles: roleNames(m.Roles)})
		}
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"members": members})
}

func (a *app) addMember(w http.ResponseWriter, r *http.Request) {
	var user string
	var names []string
	kind := staff
	if err := decodeBody(r, map[string]any{"user": &user, "roles": &names, "employment": &kind}); err != nil {
		a.refuse(w, r, err)
		return
	}
	as, err := a.membership(r.Context(), names, kind)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	result, err := a.engine.Members.Add(r.Context(), caller(r).Org.ID, user, as)
	switch {
	case errors.Is(err, orgstore.ErrNotFound), errors.Is(err, orgstore.ErrInvalid):
		problem(w, http.StatusUnprocessableEntity, "unknown user: only users of the directory can become members")
	case err != nil:
		a.refuse(w, r, err)
	case !result.Changed:
		problem(w, http.StatusConflict, "the user is a member already")
	default:
		slices.Sort(names)
		writeJSON(w, http.StatusCreated, member{User: user, Roles: slices.Compact(names)})
	}
}

// membership is one with the roles of these names, of a kind that the API calls employment.
func (a *app) membership(ctx context.Context, names []string, employment string) (as orgstore.MemberOptions, err error) {
	if as.Kind = kinds[employment]; as.Kind == "" {
		return as, unprocessable("employment must be staff or freelance")
	}
	if len(names) == 0 {
		return as, unprocessable("roles must name at least one of admin, manager, guide")
	}
	for _, name := range names {
		role, err := a.engine.Roles.GetByName(ctx, name)
		if errors.Is(err, orgstore.ErrNotFound) {
			return as, unprocessable("unknown role: roles are admin, manager, guide")
		}
		if err != nil {
			return as, err
		}
		as.Roles = append(as.Roles, role.ID)
	}
	return as, nil
}

func (a *app) removeMember(w http.ResponseWriter, r *http.Request) {
	result, err := a.engine.Members.Remove(r.Context(), caller(r).Org.ID, r.PathValue("user"))
	switch {
	case errors.Is(err, orgstore.ErrInvalid), err == nil && !result.Changed:
		problem(w, http.StatusNotFound, "no such member of this organization")
	case err != nil:
		a.refuse(w, r, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func caller(r *http.Request) *middleware.Principal { return middleware.MustPrincipal(r.Context()) }
