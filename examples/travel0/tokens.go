package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/login"
)

const (
	issuer   = "https://travel0.example/"
	audience = "https://api.travel0.example"

	defaultLifetime = 10 * time.Minute
	maxLifetime     = 24 * time.Hour
	clockSkew       = 30 * time.Second
)

// mintDemoToken answers POST /dev/tokens: a token for any user in any organization, member or not, without asking who
// calls. It exists so that the demo can be tried with curl alone. A real product's tokens come from its identity provider.
func (a *app) mintDemoToken(w http.ResponseWriter, r *http.Request) {
	var user, org string
	expiresIn := int64(defaultLifetime / time.Second)
	if err := decodeBody(r, map[string]any{"user": &user, "org": &org, "expires_in": &expiresIn}); err != nil {
		a.refuse(w, r, err)
		return
	}
	if expiresIn > int64(maxLifetime/time.Second) || -int64(clockSkew/time.Second) <= expiresIn && expiresIn <= 0 {
		a.refuse(w, r, badRequest("expires_in must be 1 to %d seconds, or below -%d for a token that has expired",
			int64(maxLifetime/time.Second), int64(clockSkew/time.Second)))
		return
	}
	if _, err := a.engine.Users.Get(r.Context(), user); err != nil {
		a.refuse(w, r, unlessFound(err, "unknown user: there are jonno, hiroko, emilio, sumana, lena, "+
			"and granite, adventurez, rocky with -admin or -manager behind"))
		return
	}
	get := a.engine.Organizations.GetByName
	if orgstore.IsOrganizationID(org) {
		get = a.engine.Organizations.Get
	}
	o, err := get(r.Context(), org)
	if err != nil {
		a.refuse(w, r, unlessFound(err, "unknown org: there are granite-outpost, adventurez and rocky-mountain-high"))
		return
	}
	token, err := a.mint(user, o.ID, expiresIn)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	writeJSON(w, http.StatusCreated, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": expiresIn})
}

// mint signs a token that expires in that many seconds from now, which may lie in the past.
func (a *app) mint(user, org string, expiresIn int64) (string, error) {
	now := time.Now()
	expiry := time.Unix(max(now.Unix()+max(expiresIn, -now.Unix()), 1), 0)
	issued := now
	if expiry.Before(now) {
		issued = expiry.Add(-time.Second)
	}
	return a.signer.Sign(claims.Token{
		Subject:  user,
		Audience: []string{audience},
		Org:      claims.Org{ID: org},
		IssuedAt: issued,
		Expiry:   expiry,
	})
}

// unlessFound is a 400 that says detail when err says that something is not there, else err itself.
func unlessFound(err error, detail string) error {
	if errors.Is(err, orgstore.ErrNotFound) || errors.Is(err, orgstore.ErrInvalid) {
		return badRequest("%s", detail)
	}
	return err
}

// refuse answers with what err stands for, as problem+json.
func (a *app) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if bad, ok := errors.AsType[*refusal](err); ok {
		problem(w, bad.status, bad.detail)
		return
	}
	if no, ok := errors.AsType[*login.Error](err); ok {
		loginRefused(w, no)
		return
	}
	if errors.Is(err, orgstore.ErrUnavailable) {
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "the store does not answer at the moment: try again")
		return
	}
	a.log.ErrorContext(r.Context(), "request failed", "pattern", r.Pattern, "error", err)
	problem(w, http.StatusInternalServerError, "")
}

func problem(w http.ResponseWriter, status int, detail string) {
	middleware.WriteProblem(w, middleware.Problem{Status: status, Detail: detail})
}
