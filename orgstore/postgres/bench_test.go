package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// crowd adds n members with one role to an organization, past the engine: "crowd|00000001" and so on.
func crowd(b *testing.B, e *orgstore.Engine, org, role string, n int) {
	b.Helper()
	_, err := e.Transact(b.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		const id, from = `'crowd|' || lpad(n::text, 8, '0')`, ` FROM generate_series(1, $1::int) n`
		for _, s := range []struct {
			statement string
			args      []any
		}{
			{`INSERT INTO orgauthz_users (id, email, name, blocked, created_at, updated_at) SELECT ` + id + `, '', '', 0, 0, 0` + from, []any{n}},
			{`INSERT INTO orgauthz_scopes (kind, org, id, revision, position) SELECT 3, '', ` + id + `, 1, 0` + from, []any{n}},
			{`INSERT INTO orgauthz_members (org_id, user_id, kind, metadata, joined_by, created_at, updated_at)
				SELECT $2, ` + id + `, 'employee', '{}', 'import', 0, 0` + from, []any{n, org}},
			{`INSERT INTO orgauthz_scopes (kind, org, id, revision, position) SELECT 2, $2, ` + id + `, 1, 0` + from, []any{n, org}},
			{`INSERT INTO orgauthz_member_roles (org_id, user_id, role_id) SELECT $2, ` + id + `, $3` + from, []any{n, org, role}},
			{`UPDATE orgauthz_organizations SET members = members + $1 WHERE id = $2`, []any{n, org}},
			{`ANALYZE orgauthz_users, orgauthz_scopes, orgauthz_members, orgauthz_member_roles`, nil},
		} {
			if _, err := tx.ExecContext(ctx, s.statement, s.args...); err != nil {
				return fmt.Errorf("%s: %w", s.statement, err)
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkResolve resolves random members of organizations of two sizes, on a server of the same machine: about 130 µs in
// both on 2 shared vCPU, 70 to 100 µs for each of two at the same time.
func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		e := fresh(b)
		w := orgstoretest.Seed(b, e)
		crowd(b, e, w.Org.ID, w.Guide.ID, n)
		for name, org := range map[string]string{"id": w.Org.ID, "name": w.Org.Name} {
			resolve := func(ctx context.Context) {
				a, err := e.Resolve(ctx, orgstore.Query{Org: org, Principal: fmt.Sprintf("crowd|%08d", 1+rand.IntN(n))})
				if err != nil || a.Standing != orgstore.StandingMember {
					b.Error(a, err)
				}
			}
			b.Run(fmt.Sprintf("members=%d/by=%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					resolve(b.Context())
				}
			})
			b.Run(fmt.Sprintf("members=%d/by=%s/parallel", n, name), func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						resolve(b.Context())
					}
				})
			})
		}
	}
}

// BenchmarkMembers is the cost of adding and removing a member, synced to disk, by one caller and by eight in organizations
// of their own: 3.7 and 1.3 ms for a pair on 2 shared vCPU.
func BenchmarkMembers(b *testing.B) {
	e := openAt(b, database(b, "pool_max_conns", "20"), orgstore.Config{Limits: orgstore.Limits{Members: math.MaxInt}})
	w := orgstoretest.Seed(b, e)
	pair := func(ctx context.Context, org string) {
		if _, err := e.Members.Add(ctx, org, w.Jonno.ID, orgstore.MemberOptions{Roles: []string{w.Guide.ID}}); err != nil {
			b.Error(err)
		}
		if _, err := e.Members.Remove(ctx, org, w.Jonno.ID); err != nil {
			b.Error(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			pair(b.Context(), w.Org.ID)
		}
	})
	b.Run("eight", func(b *testing.B) {
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			o, _, err := e.Organizations.Create(b.Context(), orgstore.Organization{Name: fmt.Sprint("o", rand.Uint64())})
			if err != nil {
				b.Error(err)
				return
			}
			for pb.Next() {
				pair(b.Context(), o.ID)
			}
		})
	})
}
