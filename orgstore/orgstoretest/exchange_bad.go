package orgstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

// bad checks that the file is refused at a line, for a field, and names the type.
func (t *engineTest) bad(file []byte, opts orgstore.ImportOptions, line int64, typ, field string) {
	t.Helper()
	_, err := t.Import(t.Context(), bytes.NewReader(file), opts)
	wrong, ok := errors.AsType[*orgstore.ImportError](err)
	if !ok || wrong.Line != line || wrong.Type != typ {
		t.Errorf("error is %v, want one of line %d (%s)", err, line, typ)
	}
	t.invalid(err, field, "")
	if err != nil && !strings.Contains(err.Error(), "line "+strconv.FormatInt(line, 10)) {
		t.Errorf("error %v does not say where", err)
	}
}

func exchangeBadFiles(t *engineTest, _ func() *engineTest) {
	none := orgstore.ImportOptions{}
	for _, header := range []string{"", "\n", "x", "{}", "[]", "null", `{"orgauthz_export":0}`, `{"orgauthz_export":2}`, `{"orgauthz_export":"1"}`, "\x00\xff"} {
		t.bad([]byte(header+"\n"+string(exported)), none, 1, "", "orgauthz_export")
	}
	if len(t.events()) > 0 {
		t.Fatal("something was written")
	}
	const header, end = `{"orgauthz_export":1}` + "\n", `{"type":"end","value":{"records":0,"counts":{}}}` + "\n"
	t.bad([]byte(header), none, 2, "", "end")
	t.bad([]byte(header+`{"type":"hologram","value":{}}`), none, 2, "", "type")
	t.bad([]byte(header+`{"type":"user","value":{"user_id"`), none, 2, "", "line")
	t.bad([]byte(header+"\n"), none, 2, "", "line")
	t.bad([]byte(header+`{"type":"user","value":{}} {}`), none, 2, "", "line")
	t.bad([]byte(header+`{"type":"user","extra":{}}`), none, 2, "", "extra")
	t.bad([]byte(header+`{"type":"end","value":{"records":1,"counts":{"user":1}}}`), none, 2, "end", "counts")
	t.bad([]byte(header+`{"type":"end","value":{"records":0,"counts":{"user":1}}}`), none, 2, "end", "counts")
	t.bad([]byte(header+end+end), none, 3, "", "line")
	t.bad([]byte(header+strings.Repeat(" ", 17<<20)+end), none, 2, "", "line")
	if result := t.imports([]byte(header+end), none); result.Lines != 1 || result.Created != 0 {
		t.Errorf("an empty export: %+v", result)
	}
	// A line that is missing is told at the end; one that is cut off, where it is.
	lines := bytes.SplitAfter(bytes.TrimSpace(exported), []byte("\n"))
	n := len(lines)
	t.bad(bytes.Join(lines[:n-1], nil), none, int64(n), "", "end")
	if !bytes.Contains(t.export(), []byte("acme")) {
		t.Error("what a file has that was cut off is not there")
	}
	t.bad(append(bytes.Join(lines[:n-2], nil), lines[n-1]...), none, int64(n-1), "end", "counts")
	t.bad(exported[:len(exported)-20], none, int64(n), "", "line")
}

func exchangeBadRecords(t *engineTest, _ func() *engineTest) {
	t.imports(exported, orgstore.ImportOptions{})
	before := t.content()
	o, err := t.Organizations.GetByName(t.Context(), "acme")
	t.ok(err)
	record := func(typ, value string) []byte {
		return []byte(`{"orgauthz_export":1}` + "\n" + `{"type":"` + typ + `","value":` + strings.ReplaceAll(value, "ACME", o.ID) + "}\n" +
			`{"type":"end","value":{"records":1,"counts":{"` + typ + `":1}}}` + "\n")
	}
	for _, bad := range []struct{ typ, value, field string }{
		{"user", `{"user_id":"x","surprise":1}`, "surprise"},
		{"user", `{"user_id":7}`, "user_id"},
		{"user", `{"user_id":""}`, "user_id"},
		{"user", `{"user_id":"x","created_at":"yesterday"}`, "value"},
		{"user", `{"user_id":"x","created_at":"0999-01-01T00:00:00Z"}`, "created_at"},
		{"user", `{"user_id":"x","tokens_valid_after":"0999-01-01T00:00:00Z"}`, "tokens_valid_after"},
		{"user", `null`, "user_id"},
		{"user", `[]`, "value"},
		{"role", `{"name":"x"}`, "id"},
		{"organization", `{"id":"","name":"x"}`, "id"},
		{"organization", `{"id":"org_0000000000000000","name":"X"}`, "name"},
		{"organization", `{"id":"org_0000000000000000","name":"x","status":"closed"}`, "status"},
		{"organization_settings", `{"organization_id":"ACME","login_domain":"nobody.example"}`, "login_domain"},
		{"connection", `{"name":"x","strategy":"auth0"}`, "id"},
		{"client", `{"name":"x"}`, "client_id"},
		{"client_grant", `{"client_id":"portal"}`, "id"},
		{"group", `{}`, "id"},
		{"team", `{}`, "id"},
		{"contract", `{}`, "id"},
		{"contract", `{"id":"ctr_0000000000000000","ended_at":"0999-01-01T00:00:00Z"}`, "ended_at"},
		{"discovery_domain", `{}`, "id"},
		{"discovery_domain", `{"id":"ord_0000000000000000","organization_id":"ACME","domain":"x.example"}`, "verification_txt"},
		{"discovery_domain", `{"id":"ord_0000000000000000","organization_id":"ACME","domain":"com","verification_txt":"x"}`, "domain"},
		{"request", `{}`, "id"},
		{"invitation", `{}`, "id"},
		{"template", `{"kind":"poem"}`, "kind"},
		{"tenant", `{"picker_order":"random"}`, "picker_order"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"boss"}`, "kind"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"guest","status":"asleep"}`, "status"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"guest","joined_by":"magic"}`, "joined_by"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"guest","joined_at":"0999-01-01T00:00:00Z"}`, "joined_at"},
		{"member", `{"organization_id":"ACME","user_id":"u1","surprise":1}`, "surprise"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"guest","expires_at":"0999-01-01T00:00:00Z"}`, "expires_at"},
	} {
		t.bad(record(bad.typ, bad.value), orgstore.ImportOptions{Update: true}, 2, bad.typ, bad.field)
	}
	for _, bad := range []struct{ typ, value, kind string }{
		{"member", `{"organization_id":"org_0000000000000000","user_id":"u1","kind":"guest"}`, "organization"},
		{"member", `{"organization_id":"ACME","user_id":"nobody","kind":"guest"}`, "user"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"guest","teams":["team_0000000000000000"]}`, "team"},
		{"member", `{"organization_id":"ACME","user_id":"u1","kind":"guest","roles":[{"role_id":"rol_0000000000000000"}]}`, "role"},
		{"organization_settings", `{"organization_id":"org_0000000000000000"}`, "organization"},
		{"connection_isolation", `{"connection_id":"\u0000"}`, "connection"},
		{"organization_client", `{"organization_id":"ACME","client_id":"nobody"}`, "client"},
		{"organization_client_grant", `{"organization_id":"ACME","grant_id":"cgr_0000000000000000"}`, "client_grant"},
		{"organization_group", `{"organization_id":"ACME","group_id":"grp_0000000000000000"}`, "group"},
		{"enabled_connection", `{"organization_id":"ACME","connection_id":"con_0000000000000000"}`, "connection"},
		{"user", `{"user_id":"x","groups":["grp_0000000000000000"]}`, "group"},
	} {
		_, err := t.Import(t.Context(), bytes.NewReader(record(bad.typ, bad.value)), orgstore.ImportOptions{})
		if wrong, ok := errors.AsType[*orgstore.ImportError](err); !ok || wrong.Line != 2 || wrong.Type != bad.typ {
			t.Errorf("%s: error is %v", bad.value, err)
		}
		t.notFound(err, bad.kind)
	}
	if is := t.content(); fmt.Sprint(is) != fmt.Sprint(before) {
		t.Errorf("rows were %v, and are %v", before, is)
	}
}
