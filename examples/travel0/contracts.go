package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// sharedRatings is what contracts call the ratings of guides in what they share.
const sharedRatings = "ratings"

// contracts returns the contracts of an organization, on either side, that have not ended.
func (a *app) contracts(ctx context.Context, org string) (found []*orgstore.Contract, err error) {
	now := time.Now()
	for _, list := range []func(context.Context, string, orgstore.ListOptions) (orgstore.Page[*orgstore.Contract], error){
		a.engine.Contracts.ListByHost, a.engine.Contracts.ListByGuest,
	} {
		for page := (orgstore.ListOptions{Limit: 1000}); ; {
			some, err := list(ctx, org, page)
			if err != nil {
				return nil, err
			}
			for _, c := range some.Items {
				if c.EndedAt.IsZero() && (c.Until.IsZero() || now.Before(c.Until)) {
					found = append(found, c)
				}
			}
			if page.After = some.Next; page.After == "" {
				break
			}
		}
	}
	return found, nil
}

// sharing returns the organizations whose ratings contracts let org read, as long as these last.
func (a *app) sharing(ctx context.Context, org string) (partners []string, err error) {
	contracts, err := a.contracts(ctx, org)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, c := range contracts {
		if now.Before(c.From) {
			continue
		}
		partner, direction := c.Guest, orgstore.ShareToHost
		if c.Guest == org {
			partner, direction = c.Host, orgstore.ShareToGuest
		}
		if !slices.ContainsFunc(c.Shares, func(s orgstore.Share) bool {
			return s.Name == sharedRatings && (s.Direction == orgstore.ShareBoth || s.Direction == direction) &&
				(s.Until.IsZero() || now.Before(s.Until))
		}) {
			continue
		}
		o, err := a.engine.Organizations.Get(ctx, partner)
		if err != nil {
			return nil, err
		}
		if o.Status == orgstore.OrganizationActive {
			partners = append(partners, partner)
		}
	}
	return partners, nil
}

type contract struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Host   string   `json:"host"`  // name of the organization that admits
	Guest  string   `json:"guest"` // those whom this organization has
	Kinds  []string `json:"kinds"` // if they are of these kinds
	Shares []string `json:"shares"`
}

func (a *app) listContracts(w http.ResponseWriter, r *http.Request) {
	found, err := a.contracts(r.Context(), caller(r).Org.ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	list := []contract{}
	for _, c := range found {
		shown := contract{ID: c.ID, Name: c.Name, Kinds: c.Kinds, Shares: []string{}}
		for _, s := range c.Shares {
			shown.Shares = append(shown.Shares, s.Name)
		}
		for id, name := range map[string]*string{c.Host: &shown.Host, c.Guest: &shown.Guest} {
			o, err := a.engine.Organizations.Get(r.Context(), id)
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			*name = o.Name
		}
		list = append(list, shown)
	}
	writeJSON(w, http.StatusOK, map[string]any{"contracts": list})
}

// endContract ends a contract for both of its sides.
func (a *app) endContract(w http.ResponseWriter, r *http.Request) {
	found, err := a.contracts(r.Context(), caller(r).Org.ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	id := r.PathValue("contract")
	if !slices.ContainsFunc(found, func(c *orgstore.Contract) bool { return c.ID == id }) {
		problem(w, http.StatusNotFound, "no such contract of this organization")
		return
	}
	if _, err := a.engine.Contracts.End(r.Context(), id); err != nil {
		a.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
