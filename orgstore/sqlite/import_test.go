package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// FuzzImport imports anything: without a panic, with errors that say what is wrong, and with nothing written that has no header.
func FuzzImport(f *testing.F) {
	file, err := os.ReadFile("../orgstoretest/testdata/export.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file) // each input takes a database of its own: many at the beginning would leave no time for others
	f.Add(file[:len(file)/2])
	const header = `{"orgauthz_export":1}` + "\n"
	for _, text := range []string{
		"", "{", "\n\n", header, header + `{"type":"member","value":{"organization_id":null,"user_id":"\ufffd"}}`, header + `{"type":"end"}`,
		header + `{"type":"user","value":{"user_id":"a","identities":[{}]}}`, header + `{"type":"tenant","value":{}}` + "\n" + `{"type":"end","value":{"records":1,"counts":{"tenant":1}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		e := memory(t)
		result, err := e.Import(t.Context(), bytes.NewReader(file), orgstore.ImportOptions{Batch: 3, MaxErrors: 2, Update: true})
		wrong, ok := errors.AsType[*orgstore.ImportError](err)
		if err != nil && (!ok || wrong.Line < 1 || errors.Is(err, orgstore.ErrUnavailable)) {
			t.Fatalf("error is %v, want one that names a line", err)
		}
		for _, err := range append(result.Errors, wrong) {
			if err != nil && err.Err == nil {
				t.Fatal("an error without a cause")
			}
		}
		if err == nil {
			if again, err := e.Import(t.Context(), bytes.NewReader(file), orgstore.ImportOptions{MaxErrors: len(file)}); err != nil || again.Created > 0 {
				t.Fatalf("imported again: %+v, %v", again, err)
			}
		}
		if wrong != nil && wrong.Line == 1 {
			if page, err := e.Events.List(t.Context(), orgstore.EventOptions{Limit: 1}); err != nil || len(page.Items) > 0 {
				t.Fatalf("%d events, %v: something was written", len(page.Items), err)
			}
		}
	})
}
