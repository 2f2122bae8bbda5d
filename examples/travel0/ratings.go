package main

import (
	"context"
	"net/http"

	"github.com/orgauthz/orgauthz/orgstore"
)

// guides returns a 404 unless the user guides for org: as a member, or by a contract.
func (a *app) guides(ctx context.Context, org, user string) error {
	access, err := a.engine.Resolve(ctx, orgstore.Query{Org: org, Principal: user})
	if err == nil && access.Standing == orgstore.StandingNotMember {
		err = &refusal{http.StatusNotFound, "no such member of this organization"}
	}
	return err
}

func (a *app) rate(w http.ResponseWriter, r *http.Request) {
	var stars int64
	if err := decodeBody(r, map[string]any{"stars": &stars}); err != nil {
		a.refuse(w, r, err)
		return
	}
	if stars < 1 || stars > 5 {
		problem(w, http.StatusUnprocessableEntity, "stars must be 1 to 5")
		return
	}
	org, guide := caller(r).Org.ID, r.PathValue("user")
	err := a.guides(r.Context(), org, guide)
	if err == nil {
		err = a.catalog.rate(r.Context(), org, guide, stars)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{"user": guide, "stars": stars})
}

func (a *app) listRatings(w http.ResponseWriter, r *http.Request) {
	org, guide := caller(r).Org.ID, r.PathValue("user")
	orgs, err := a.sharing(r.Context(), org)
	if err == nil {
		err = a.guides(r.Context(), org, guide)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	list, err := a.catalog.ratings(r.Context(), guide, append(orgs, org))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	answer := struct {
		User    string   `json:"user"`
		Count   int      `json:"count"`
		Average *float64 `json:"average"` // null while nobody has rated
		Ratings []rating `json:"ratings"`
	}{User: guide, Count: len(list), Ratings: list}
	if len(list) > 0 {
		var stars int
		for _, r := range list {
			stars += r.Stars
		}
		average := float64(stars) / float64(len(list))
		answer.Average = &average
	}
	if err := a.nameOrganizations(r.Context(), list); err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// nameOrganizations replaces the organizations' ids in list with their names.
func (a *app) nameOrganizations(ctx context.Context, list []rating) error {
	names := map[string]string{}
	for i := range list {
		id := list[i].Org
		if names[id] == "" {
			o, err := a.engine.Organizations.Get(ctx, id)
			if err != nil {
				return err
			}
			names[id] = o.Name
		}
		list[i].Org = names[id]
	}
	return nil
}
