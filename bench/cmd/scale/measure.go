package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// question is a kind of Resolve.
type question struct {
	name     string
	standing orgstore.Standing
	draw     func(w *world, r *rand.Rand) orgstore.Query
}

// someOrg draws an organization whose number ends in such digits, from between.
func (w *world) someOrg(r *rand.Rand, from, to int) int {
	for {
		n := r.IntN(w.orgs/100)*100 + from + r.IntN(to-from+1)
		if n > 100 && n < w.orgs && w.size(n) > 1 {
			return n
		}
	}
}

func (w *world) someMember(r *rand.Rand, org int) string {
	for {
		n := r.IntN(w.size(org))
		if user := w.member(org, n); n%100 != 49 && user%1000 != 999 { // neither suspended nor blocked
			return userID(user)
		}
	}
}

// questions are what Resolve is asked, each about another organization and member every time as far as there are.
var questions = []question{
	{"member, by id", orgstore.StandingMember, func(w *world, r *rand.Rand) orgstore.Query {
		org := w.someOrg(r, 30, 49)
		return orgstore.Query{Org: orgID(org), Principal: w.someMember(r, org)}
	}},
	{"member, by name", orgstore.StandingMember, func(w *world, r *rand.Rand) orgstore.Query {
		org := w.someOrg(r, 30, 49)
		return orgstore.Query{Org: orgName(org, w.orgs), Principal: w.someMember(r, org)}
	}},
	{"no member", orgstore.StandingNotMember, func(w *world, r *rand.Rand) orgstore.Query {
		org := w.someOrg(r, 30, 49)
		return orgstore.Query{Org: orgID(org), Principal: userID((w.member(org, 0) + w.users/2) % w.users)}
	}},
	{"no user", orgstore.StandingNotMember, func(w *world, r *rand.Rand) orgstore.Query {
		return orgstore.Query{Org: orgID(w.someOrg(r, 30, 49)), Principal: userID(w.users + 1000 + r.IntN(1000))}
	}},
	{"no organization", orgstore.StandingNoOrganization, func(w *world, r *rand.Rand) orgstore.Query {
		return orgstore.Query{Org: orgID(w.orgs + 1000 + r.IntN(1000)), Principal: userID(0)}
	}},
	{"member of the largest organization, with group and team", orgstore.StandingMember, func(w *world, r *rand.Rand) orgstore.Query {
		return orgstore.Query{Org: orgID(0), Principal: w.someMember(r, 0)}
	}},
	{"member with three teams above each other", orgstore.StandingMember, func(w *world, r *rand.Rand) orgstore.Query {
		org := w.someOrg(r, 20, 20)
		return orgstore.Query{Org: orgID(org), Principal: userID(w.member(org, 0))}
	}},
	{"member at the bottom of a tree of 8", orgstore.StandingMember, func(w *world, r *rand.Rand) orgstore.Query {
		org := w.someOrg(r, 17, 17)
		return orgstore.Query{Org: orgID(org), Principal: w.someMember(r, org)}
	}},
	{"guest by one of five contracts", orgstore.StandingMember, func(w *world, r *rand.Rand) orgstore.Query {
		org := guests[r.IntN(len(guests))]
		return orgstore.Query{Org: orgID(2), Principal: w.someMember(r, org)}
	}},
}

// resolveFigures is what one kind of Resolve takes on both stores.
type resolveFigures struct {
	name         string
	statements   int
	small, large time.Duration // medians
}

func (f resolveFigures) ratio() float64 { return float64(f.large) / float64(f.small) }

// drawn is how many different questions are asked, each after each of them has been asked once.
const drawn = 1000

// measureResolve asks both stores in turn.
func measureResolve(ctx context.Context, small, large *store, q question, samples int) (f resolveFigures, err error) {
	f.name = q.name
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same questions in every run
	var asked [2][]orgstore.Query
	var took [2][]time.Duration
	stores := [2]*store{small, large}
	ask := func(s int, query orgstore.Query) (time.Duration, error) {
		began := time.Now()
		a, err := stores[s].Resolve(ctx, query)
		took := time.Since(began)
		if err == nil && a.Standing != q.standing {
			err = fmt.Errorf("%s: %v is %v", q.name, query, a.Standing)
		}
		return took, err
	}
	for s, store := range stores {
		for range min(drawn, samples) {
			query := q.draw(store.world, r)
			if _, err := ask(s, query); err != nil {
				return f, err
			}
			asked[s] = append(asked[s], query)
		}
	}
	for n := range samples {
		for i := range stores {
			s := (i + n) % 2
			d, err := ask(s, asked[s][n%len(asked[s])])
			if err != nil {
				return f, err
			}
			took[s] = append(took[s], d)
		}
	}
	f.small, f.large = median(took[0]), median(took[1])
	err = large.within(ctx, func(tx *sql.Tx, r *recorder) error {
		for _, query := range asked[1][:min(100, samples)] {
			statements, err := r.record(func() error {
				_, err := large.In(tx).Resolve(ctx, query)
				return err
			})
			if err != nil {
				return err
			}
			f.statements = max(f.statements, len(statements))
		}
		return nil
	})
	return f, err
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

// parts are the depths at which pages are measured.
var parts = []float64{0, 0.1, 0.5, 0.99}

// listFigures are what pages of one list take.
type listFigures struct {
	name  string
	items int // 0 where they were not counted
	took  []time.Duration
}

// worst is how many times what the first page takes another one does.
func (f listFigures) worst() float64 {
	worst := 1.0
	for _, d := range f.took[1:] {
		worst = max(worst, float64(d)/float64(f.took[0]))
	}
	return worst
}

const pageSize = 50

// cursors walks through a list, and returns where its parts begin.
func (l list) cursors(ctx context.Context, e *orgstore.Engine) (found []string, items int, err error) {
	if l.short {
		n, _, err := l.page(ctx, e, pageSize, "")
		if err == nil && (n == 0 || n > pageSize) {
			err = fmt.Errorf("%s: %d items", l.name, n)
		}
		return []string{""}, n, err
	}
	if l.jump != nil {
		found = []string{""}
		for _, part := range parts[1:] {
			found = append(found, l.jump(part))
		}
		return found, 0, nil
	}
	all := []string{""}
	for after := ""; ; {
		n, next, err := l.page(ctx, e, walk, after)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", l.name, err)
		}
		items += n
		if next == "" {
			break
		}
		all, after = append(all, next), next
	}
	if items == 0 {
		return nil, 0, fmt.Errorf("%s: nothing is listed", l.name)
	}
	if items <= pageSize { // in a small world
		return []string{""}, items, nil
	}
	for _, part := range parts {
		// Not the last page, which may be shorter.
		place := int(part * float64(items-pageSize))
		cursor := all[place/walk]
		if rest := place % walk; rest > 0 {
			if _, cursor, err = l.page(ctx, e, rest, cursor); err != nil {
				return nil, 0, err
			}
		}
		found = append(found, cursor)
	}
	return found, items, nil
}

// walk is the size of pages on the way through a list.
const walk = 1000

func measureList(ctx context.Context, s *store, l list, samples int) (f listFigures, found []string, err error) {
	f.name = l.name
	if found, f.items, err = l.cursors(ctx, s.Engine); err != nil {
		return f, nil, err
	}
	took := make([][]time.Duration, len(found))
	for n := range samples + 2 {
		for i := range found {
			i = (i + n) % len(found)
			began := time.Now()
			got, _, err := l.page(ctx, s.Engine, pageSize, found[i])
			d := time.Since(began)
			if err != nil {
				return f, nil, fmt.Errorf("%s: %w", l.name, err)
			}
			if got != pageSize && len(found) > 1 {
				return f, nil, fmt.Errorf("%s: a page has %d items", l.name, got)
			}
			if n >= 2 { // the first two times are for caches and prepared statements
				took[i] = append(took[i], d)
			}
		}
	}
	for _, t := range took {
		f.took = append(f.took, median(t))
	}
	return f, found, nil
}

// constant are the tables that may be read whole: what they hold is the tenant's, and does not grow with organizations and users.
var constant = map[string]string{
	"orgauthz_meta":          "has one row",
	"orgauthz_tenant":        "has one row",
	"orgauthz_connections":   "has the connections of the tenant",
	"orgauthz_clients":       "has the applications of the tenant",
	"orgauthz_client_grants": "has the grants of the tenant's applications",
	"orgauthz_groups":        "has the groups of the tenant's connections",
}

// explain returns the plans, of all statements that f asks, that read a table whole, and how many statements it explained.
func explain(ctx context.Context, s *store, large bool, f func(e *orgstore.Engine) error) (bad []string, n int, err error) {
	err = s.within(ctx, func(tx *sql.Tx, r *recorder) error {
		statements, err := r.record(func() error { return f(s.In(tx).Engine) })
		if err != nil {
			return err
		}
		for _, st := range statements {
			plan, err := s.database.plan(ctx, tx, st.text, st.args, large)
			if err != nil {
				return err
			}
			n++
			for _, table := range s.database.scanned(st.text, plan) {
				if constant[table] == "" {
					bad = append(bad, fmt.Sprintf("%s is read whole:\n%s\n%s", table, st.text, lines(plan)))
				}
			}
		}
		return nil
	})
	return bad, n, err
}
