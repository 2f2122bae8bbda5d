package orgstoretest

import (
	"errors"
	"strconv"

	"github.com/orgauthz/orgauthz/orgstore"
)

var teamRaces = map[string]race{
	"TEAM-1: teams": {orgstore.Limits{Teams: 5}, func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(i int) error {
			return third(t.Teams.Create(t.Context(), orgstore.Team{Organization: o.ID, Name: strconv.Itoa(i)}))
		}
	}, 5, limit("teams", 5), nil},
	"TEAM-1: one name for teams": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(int) error {
			return third(t.Teams.Create(t.Context(), orgstore.Team{Organization: o.ID, Name: "guides"}))
		}
	}, most: 1, lost: conflict("team", "name")},
	"TEAM-1: one id for teams": {setup: func(t *engineTest) func(int) error {
		orgs := t.many(func(i int) string { return t.org("o" + strconv.Itoa(i)).ID })
		return func(i int) error {
			return third(t.Teams.Create(t.Context(), orgstore.Team{ID: "team_0000000000000000", Organization: orgs[i], Name: "x"}))
		}
	}, most: 1, lost: conflict("team", "id")},
	"TEAM-3: roles of a team": {orgstore.Limits{RolesPerTeam: 6}, func(t *engineTest) func(int) error {
		o, roles := t.org("acme"), t.many(t.roleNumber)
		team := t.team(o.ID, "guides", "")
		return func(i int) error { return second(t.Teams.AssignRoles(t.Context(), o.ID, team, roles[i])) }
	}, 6, limit("roles per team", 6), nil},
	"TEAM-4: teams of a member": {orgstore.Limits{TeamsPerMember: 6}, func(t *engineTest) func(int) error {
		o, user := t.org("acme"), t.user("u")
		t.member(o.ID, user)
		teams := t.many(func(i int) string { return t.team(o.ID, strconv.Itoa(i), "") })
		return func(i int) error { return second(t.Teams.AddMember(t.Context(), o.ID, teams[i], user)) }
	}, 6, limit("teams per member", 6), nil},
	// Each racer puts its team below the next one's: the last would close the circle. None may be deeper than the limit.
	"TEAM-2: a cycle of two": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		teams := []string{t.team(o.ID, "a", ""), t.team(o.ID, "b", "")}
		return func(i int) error {
			result, err := t.Teams.Update(t.Context(), o.ID, teams[i%2], orgstore.TeamUpdate{Parent: &teams[1-i%2]})
			if err == nil && !result.Changed {
				err = errUndo // moved already
			}
			return err
		}
	}, most: 1, lost: func(t *engineTest, err error) {
		if !errors.Is(err, errUndo) {
			t.invalid(err, "parent_id", "")
		}
	}, after: func(t *engineTest, _ []error) { t.acyclic() }},
	"TEAM-2: a cycle of many": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		teams := []string{t.team(o.ID, "a", ""), t.team(o.ID, "b", ""), t.team(o.ID, "c", "")}
		return func(i int) error {
			_, err := t.Teams.Update(t.Context(), o.ID, teams[i%3], orgstore.TeamUpdate{Parent: &teams[(i+1)%3]})
			if err != nil {
				t.invalid(err, "parent_id", "")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) { t.acyclic() }},
	"TEAM-2: levels": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		teams := t.many(func(i int) string { return t.team(o.ID, strconv.Itoa(i), "") })
		return func(i int) error {
			if i == racers-1 {
				return nil
			}
			_, err := t.Teams.Update(t.Context(), o.ID, teams[i], orgstore.TeamUpdate{Parent: &teams[i+1]})
			if err != nil {
				t.limit(err, "levels of teams", 5)
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) { t.acyclic() }},
	"TEAM-5: deleted while others move below it": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		above := t.team(o.ID, "above", "")
		teams := t.many(func(i int) string { return t.team(o.ID, strconv.Itoa(i), "") })
		return func(i int) error {
			if i == racers/2 {
				_, err := t.Teams.Delete(t.Context(), o.ID, above)
				if err != nil {
					t.invalid(err, "team", "")
				}
				return nil
			}
			_, err := t.Teams.Update(t.Context(), o.ID, teams[i], orgstore.TeamUpdate{Parent: &above})
			if err != nil {
				t.notFound(err, "parent")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) { t.acyclic() }},
	"TEAM-4: members leave": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		users, teams := []string{t.user("a"), t.user("b"), t.user("c"), t.user("d")}, []string{t.team(o.ID, "x", ""), t.team(o.ID, "y", "")}
		for _, user := range users {
			t.member(o.ID, user)
		}
		return func(i int) error {
			user, team := users[i%4], teams[i/4%2]
			var err error
			switch {
			case i == 8:
				_, err = t.Members.Remove(t.Context(), o.ID, user)
			case i == 9:
				_, err = t.Users.Delete(t.Context(), user)
			case i == 10:
				_, err = t.Teams.Delete(t.Context(), o.ID, teams[1])
			case i%8 == 7:
				_, err = t.Teams.RemoveMember(t.Context(), o.ID, team, user)
			default:
				_, err = t.Teams.AddMember(t.Context(), o.ID, team, user)
			}
			if errors.Is(err, orgstore.ErrNotFound) {
				err = nil
			}
			return err
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		if n, err := t.Clean(t.Context()); err != nil || n != 0 {
			t.Errorf("Clean found %d rows that were added to what is deleted, %v", n, err)
		}
	}},
}

// acyclic checks the tree of every team.
func (t *engineTest) acyclic() {
	t.Helper()
	page, err := t.Organizations.List(t.Context(), orgstore.OrganizationListOptions{})
	t.ok(err)
	for _, o := range page.Items {
		teams, err := t.Teams.List(t.Context(), o.ID, orgstore.TeamListOptions{ListOptions: orgstore.ListOptions{Limit: 1000}})
		t.ok(err)
		parent := map[string]string{}
		for _, team := range teams.Items {
			parent[team.ID] = team.Parent
		}
		for id := range parent {
			level := 0
			for at := id; at != ""; at = parent[at] {
				if level++; level > 5 {
					t.Fatalf("a team is below itself, or deeper than 5 levels")
				}
				if _, ok := parent[at]; !ok {
					t.Fatalf("a team is below one that is not there")
				}
			}
		}
	}
}
