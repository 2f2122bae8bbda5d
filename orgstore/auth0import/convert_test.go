package auth0import_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/auth0import"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

var update = flag.Bool("update", false, "write the golden files")

// TestConvert converts a tenant that has each shape of page, and compares what comes out, and what is left out, with golden files.
func TestConvert(t *testing.T) {
	t.Parallel()
	var out, left bytes.Buffer
	report, err := auth0import.Convert(os.DirFS("testdata/travel0"), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range report.Left {
		fmt.Fprintf(&left, "%s %s: %s: %d, the first is %s\n", l.Kind, l.Field, l.Reason, l.Count, l.First)
	}
	for name, got := range map[string][]byte{"testdata/travel0.jsonl": out.Bytes(), "testdata/travel0.left": left.Bytes()} {
		if *update {
			if err := os.WriteFile(name, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
	}
	for _, secret := range []string{"s3cr3t", "t1ck3t"} {
		if bytes.Contains(out.Bytes(), []byte(secret)) {
			t.Errorf("the records have the secret %s", secret)
		}
	}
}

// TestImported imports what was converted: twice, which changes nothing.
func TestImported(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var out bytes.Buffer
	report, err := auth0import.Convert(os.DirFS("testdata/travel0"), &out)
	if err != nil {
		t.Fatal(err)
	}
	e, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	for n := range 2 {
		result, err := e.Import(ctx, bytes.NewReader(out.Bytes()), orgstore.ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var records int64
		for _, count := range report.Records {
			records += count
		}
		if n == 0 && result.Created != records || n == 1 && result.Unchanged != records {
			t.Errorf("import %d of %d records: %+v", n+1, records, result)
		}
	}
	access, err := e.Resolve(ctx, orgstore.Query{Org: "granite-outpost", Principal: "auth0|hiroko"})
	if err != nil || access.Standing != orgstore.StandingMember {
		t.Fatalf("Hiroko is %+v, %v", access, err)
	}
	if !strings.Contains(fmt.Sprint(access.Member.APIPermissions, access.Member.Permissions), "create:adventures") {
		t.Errorf("Hiroko may %+v", access.Member)
	}
	machine, err := e.Resolve(ctx, orgstore.Query{Org: "granite-outpost", Principal: "mQ3vMachineMachineMachine000001@clients"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(machine.Member.APIPermissions), "read:adventures") {
		t.Errorf("the machine may %+v", machine.Member)
	}
	blocked, err := e.Resolve(ctx, orgstore.Query{Org: "adventurez", Principal: "auth0|emilio"})
	if err != nil || blocked.Standing == orgstore.StandingMember {
		t.Errorf("who is blocked is %+v, %v", blocked, err)
	}
}

// What is no answer of the API is refused, with the file's name and without its contents.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON": "hiroko", "cut off": `[{"id":"org_GraniteOutpost01"`, "cut off page": `{"organizations":[`, "a number": "7", "null": "null",
		"a string": `"x"`, "an error": `{"statusCode":401,"error":"Unauthorized","message":"hiroko"}`, "one thing": `{"id":"org_GraniteOutpost01","name":"hiroko"}`,
		"another list": `{"members":[]}`, "no list": `{"organizations":{"hiroko":1}}`, "no object": `["hiroko"]`, "null inside": `[null]`,
		"another type": `[{"id":"org_GraniteOutpost01","name":["hiroko"]}]`, "something behind": `[] ]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := auth0import.Convert(fstest.MapFS{"organizations.json": {Data: []byte(text)}}, io.Discard)
			wrong, ok := errors.AsType[*auth0import.Error](err)
			if !ok || wrong.File != "organizations.json" || strings.Contains(err.Error(), "hiroko") {
				t.Errorf("error is %v, want one of organizations.json", err)
			}
		})
	}
	if report, err := auth0import.Convert(fstest.MapFS{}, io.Discard); err != nil || len(report.Records)+len(report.Left) > 0 {
		t.Errorf("no files: %+v, %v", report, err)
	}
}

// FuzzConvert converts anything without a panic.
func FuzzConvert(f *testing.F) {
	for _, text := range []string{`[]`, `{"users":[{"user_id":"a"}],"next":"x"}`, `{"user_id":"a","identities":[{"connection":"c","user_id":7}]}`, `{`, `[[[`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := &fstest.MapFile{Data: data}
		_, err := auth0import.Convert(fstest.MapFS{"connections.json": file, "users.json": file, "organizations.json": file}, io.Discard)
		if _, ok := errors.AsType[*auth0import.Error](err); err != nil && !ok {
			t.Fatalf("error is %v, want one of a file", err)
		}
	})
}
