package orgstoretest

import (
	"context"
	_ "embed"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// badTexts are put into every text that a method takes, one kind at a time. What nobody can mean is strict: no method may do
// anything with it.
var badTexts = []struct {
	name, text string
	strict     bool
}{
	{"empty", "", false},
	{"space", " ", false},
	{"NUL", "a\x00b", true},
	{"invalid UTF-8", "a\xff", true},
	{"line break", "a\nb", true},
	{"too long", strings.Repeat("a", 70_000), true},
	{"another id", "org_0000000000000000", false},
	{"look-alike", "оrg_ООООOOOO00000000", false}, // Cyrillic letters among others
	{"SQL", `' OR '1'='1`, false},
	{"pattern", "%", false},
}

//go:embed testdata/badinput.txt
var badInput string

// TestBadInput calls every method of every noun with malformed arguments: texts that are empty, too long or of the wrong alphabet,
// ids of other things, negative numbers, nil; all of them, and all but the first, which is an organization that is there. Each is
// a typed error, or finds nothing; none panics, writes anything that nobody can mean, or answers otherwise on this backend than on
// others: testdata/badinput.txt has the answers of all. open returns a fresh, empty engine.
func TestBadInput(t *testing.T, open func(t testing.TB) *orgstore.Engine) {
	e := &engineTest{T: t, Engine: open(t)}
	w := Seed(t, e.Engine)
	var got []string
	nouns := reflect.ValueOf(e.Engine).Elem()
	for i := range nouns.NumField() {
		field := nouns.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		noun := nouns.Field(i)
		for m := range noun.NumMethod() {
			name := field.Name + "." + noun.Type().Method(m).Name
			got = append(got, e.answers(name, noun.Method(m), ""))
			if in := noun.Method(m).Type(); in.NumIn() > 2 && in.In(1).Kind() == reflect.String {
				got = append(got, e.answers(name+" in an organization", noun.Method(m), w.Org.ID))
			}
		}
	}
	t.Logf("%d methods and organizations, %d kinds of bad input each", len(got), len(badTexts))
	if len(got) < 50 {
		t.Fatalf("only %d methods were found", len(got))
	}
	e.consistent()
	want := strings.Split(strings.TrimSuffix(badInput, "\n"), "\n")
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in testdata/badinput.txt: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("only in testdata/badinput.txt: %s", line)
		}
	}
}

// answers calls a method with each kind of bad input and returns a line with what it answered.
func (t *engineTest) answers(name string, method reflect.Value, org string) string {
	t.Helper()
	var answers []string
	to := map[string][]string{} // bad input by answer
	for _, bad := range badTexts {
		before := len(t.events())
		answer := t.call(name, method, org, bad.text)
		if n := len(t.events()) - before; n != 0 && bad.strict {
			t.Errorf("%s, %s: %d events were written", name, bad.name, n)
		}
		if to[answer] == nil {
			answers = append(answers, answer)
		}
		to[answer] = append(to[answer], bad.name)
	}
	if len(answers) == 1 {
		return name + ": " + answers[0]
	}
	parts := []string{name + ":"}
	for _, answer := range answers {
		parts = append(parts, answer+" ("+strings.Join(to[answer], ", ")+")")
	}
	return strings.Join(parts, " ")
}

// call calls a method with text in all texts, but the first when there is an organization, and says what it answered.
func (t *engineTest) call(name string, method reflect.Value, org, text string) (answer string) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s panics with %q: %v", name, shortened(text), p)
			answer = "panic"
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := make([]reflect.Value, method.Type().NumIn())
	for i := range args {
		switch in := method.Type().In(i); {
		case in == reflect.TypeFor[context.Context]():
			args[i] = reflect.ValueOf(ctx)
		case i == 1 && org != "":
			args[i] = reflect.ValueOf(org)
		default:
			args[i] = malformed(in, text, 0)
		}
	}
	var results []reflect.Value
	if method.Type().IsVariadic() {
		results = method.CallSlice(args)
	} else {
		results = method.Call(args)
	}
	for _, r := range results {
		if err, ok := reflect.TypeAssert[error](r); ok && err != nil {
			return t.answer(name, text, err)
		}
	}
	return "done"
}

// answer says which typed error err is.
func (t *engineTest) answer(name, text string, err error) string {
	t.Helper()
	if len(text) > 8 && strings.Contains(err.Error(), text) {
		t.Errorf("%s: the error repeats the value: %.200s", name, err)
	}
	var all []string
	for _, e := range unjoined(err) {
		var missing *orgstore.NotFound
		var invalid *orgstore.Invalid
		var taken *orgstore.Conflict
		var limit *orgstore.Limit
		switch {
		case errors.As(e, &missing):
			all = append(all, "no such "+missing.Kind)
		case errors.As(e, &invalid):
			all = append(all, "invalid "+invalid.Field)
			if invalid.Field == "" || invalid.Text == "" {
				t.Errorf("%s: the error does not say what was wrong: %+v", name, invalid)
			}
		case errors.As(e, &taken):
			all = append(all, "conflict of "+taken.Kind+" "+taken.Field)
		case errors.As(e, &limit):
			all = append(all, "limit of "+limit.Name)
		case errors.Is(e, orgstore.ErrDenied):
			all = append(all, "denied")
		default:
			t.Errorf("%s with %q: an error without a type: %v", name, shortened(text), e)
			all = append(all, "untyped")
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

func shortened(text string) string { return text[:min(len(text), 40)] }

// malformed returns a value with text in all texts, and with numbers that are negative.
func malformed(of reflect.Type, text string, depth int) reflect.Value {
	v := reflect.New(of).Elem()
	if depth > 4 {
		return v
	}
	switch of.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(-1)
	case reflect.Pointer:
		v.Set(reflect.New(of.Elem()))
		v.Elem().Set(malformed(of.Elem(), text, depth+1))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(of, 1, 1))
		v.Index(0).Set(malformed(of.Elem(), text, depth+1))
	case reflect.Map:
		v.Set(reflect.MakeMap(of))
		if of.Key().Kind() == reflect.String {
			v.SetMapIndex(reflect.ValueOf(text).Convert(of.Key()), malformed(of.Elem(), text, depth+1))
		}
	case reflect.Struct:
		for i := range of.NumField() {
			if of.Field(i).IsExported() && of != reflect.TypeFor[time.Time]() {
				v.Field(i).Set(malformed(of.Field(i).Type, text, depth+1))
			}
		}
	case reflect.Interface:
		if of.NumMethod() == 0 {
			v.Set(reflect.ValueOf(text))
		}
	}
	return v
}
