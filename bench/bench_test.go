package bench

import (
	"strings"
	"testing"
)

// BenchmarkRequest measures every row. The report prints the same as a table.
func BenchmarkRequest(b *testing.B) {
	var w World
	b.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, row := range Rows() {
		b.Run(row.BenchmarkName(), func(b *testing.B) {
			s, err := w.Open(b.Context(), row)
			if err != nil {
				b.Fatal(err)
			}
			s.Bench(b)
			if err := s.Err(); err != nil {
				b.Error(err)
			}
		})
	}
}

// TestPeersRefuse shows that the peers decide: each lets through who may, and nobody else.
func TestPeersRefuse(t *testing.T) {
	t.Parallel()
	peers := map[string]func() (authorizer, error){
		"casbin": casbinAuthorizer, "opa": opaAuthorizer, "opa document": opaDocumentAuthorizer, "opa unprepared": opaUnpreparedAuthorizer,
	}
	user, org := userID(measuredOrg, measuredMember), orgID(measuredOrg)
	tests := []struct {
		name, user, org, action string
		want                    bool
	}{
		{"a member with the permission", user, org, readAction, true},
		{"a member without the permission", user, org, deleteAction, false},
		{"a member of another organization", user, orgID(measuredOrg + 1), readAction, false},
		{"nobody", "auth0|nobody", org, readAction, false},
	}
	for name, newAuthorizer := range peers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authorize, err := newAuthorizer()
			if err != nil {
				t.Fatal(err)
			}
			for _, tt := range tests {
				for range 2 { // the second answer may come from a cache
					if got, err := authorize(t.Context(), tt.user, tt.org, tt.action); err != nil || got != tt.want {
						t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
					}
				}
			}
		})
	}
}

// TestRowNames shows that the tools can read the names of all rows.
func TestRowNames(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, row := range Rows() {
		name := row.BenchmarkName()
		if strings.ContainsAny(name, " ,+'") || seen[name] {
			t.Errorf("benchmark name %q is not readable by benchstat, or not unique", name)
		}
		seen[name] = true
	}
}
