package claims

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseObject(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	many := func(last string) string {
		var b strings.Builder
		for i := range 40 {
			fmt.Fprintf(&b, `"m%d":1,`, i)
		}
		return "{" + b.String() + last + "}"
	}
	for name, tt := range map[string]struct {
		in   string
		want error
	}{
		"empty object":                {`{}`, nil},
		"all types":                   {`{"a":null,"b":true,"c":false,"d":-0.1e+5,"e":"x","f":[],"g":{},"h":[1,"2",[{}]]}`, nil},
		"white space":                 {" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n", nil},
		"escapes":                     {`{"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00":"\u0000"}`, nil},
		"deepest":                     {deep(maxDepth), nil},
		"same name in two objects":    {`{"a":{"x":1},"b":{"x":1},"x":1}`, nil},
		"forty members":               {many(`"z":1`), nil},
		"too deep":                    {deep(maxDepth + 1), errDepth},
		"duplicate":                   {`{"a":1,"b":2,"a":1}`, errDuplicate},
		"duplicate by escape":         {`{"a":1,"\u0061":1}`, errDuplicate},
		"duplicate in a nested one":   {`{"a":[{"b":{"c":1,"c":1}}]}`, errDuplicate},
		"duplicate among forty":       {many(`"m7":1`), errDuplicate},
		"empty":                       {``, errNotObject},
		"array":                       {`[]`, errNotObject},
		"byte order mark":             {"\ufeff{}", errNotObject},
		"second object":               {`{}{}`, errTrailing},
		"NUL behind":                  {"{}\x00", errTrailing},
		"broken UTF-8":                {"{\"a\":\"\x80\"}", errUTF8},
		"encoded surrogate":           {"{\"a\":\"\xed\xa0\x80\"}", errUTF8},
		"unclosed":                    {`{"a":1`, errSyntax},
		"unclosed string":             {`{"a`, errSyntax},
		"unclosed escape":             {`{"a\`, errSyntax},
		"unclosed array":              {`{"a":[1`, errSyntax},
		"trailing comma":              {`{"a":1,}`, errSyntax},
		"trailing comma in an array":  {`{"a":[1,]}`, errSyntax},
		"leading comma":               {`{,"a":1}`, errSyntax},
		"no colon":                    {`{"a" 1}`, errSyntax},
		"no value":                    {`{"a":}`, errSyntax},
		"name without quotes":         {`{a:1}`, errSyntax},
		"single quotes":               {`{'a':1}`, errSyntax},
		"no-break space":              {"{\u00a0\"a\":1}", errSyntax},
		"line break in a string":      {"{\"a\":\"\n\"}", errSyntax},
		"unknown escape":              {`{"a":"\x41"}`, errSyntax},
		"short unicode escape":        {`{"a":"\u12"}`, errSyntax},
		"signed unicode escape":       {`{"a":"\u+123"}`, errSyntax},
		"unicode escape with a line":  {`{"a":"\u1_23"}`, errSyntax},
		"first half alone":            {`{"a":"\ud800"}`, errSyntax},
		"first half twice":            {`{"a":"\ud800\ud800"}`, errSyntax},
		"second half alone":           {`{"a":"\udc00"}`, errSyntax},
		"first half before an escape": {`{"a":"\ud800\n"}`, errSyntax},
		"leading zero":                {`{"a":01}`, errSyntax},
		"plus":                        {`{"a":+1}`, errSyntax},
		"minus alone":                 {`{"a":-}`, errSyntax},
		"point without digits":        {`{"a":1.}`, errSyntax},
		"digits missing before point": {`{"a":.5}`, errSyntax},
		"exponent without digits":     {`{"a":1e+}`, errSyntax},
		"hexadecimal":                 {`{"a":0x10}`, errSyntax},
		"NaN":                         {`{"a":NaN}`, errSyntax},
		"word that goes on":           {`{"a":nulll}`, errSyntax},
		"word in upper case":          {`{"a":True}`, errSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members, err := parseObject(tt.in)
			if err != tt.want {
				t.Fatalf("parseObject(%q) = %v, want %v", tt.in, err, tt.want)
			}
			if tt.want == nil {
				checkAgainstEncodingJSON(t, tt.in, members)
			}
		})
	}
}

// checkAgainstEncodingJSON: what the strict parser accepts, the standard library reads alike.
func checkAgainstEncodingJSON(t *testing.T, in string, members []member) {
	t.Helper()
	var reference map[string]json.RawMessage
	if err := json.Unmarshal([]byte(in), &reference); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", in, err)
	}
	if len(members) != len(reference) {
		t.Fatalf("%q has %d members, encoding/json has %d", in, len(members), len(reference))
	}
	for _, m := range members {
		raw, ok := reference[m.name]
		if !ok || string(raw) != m.raw {
			t.Fatalf("%q: member %q is %s, encoding/json has %s", in, m.name, m.raw, raw)
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			continue // a number beyond float64: valid JSON, and no value of Go's
		}
		if s, ok := asString(m.raw); ok != isA[string](value) || ok && s != value {
			t.Fatalf("asString(%s) = %q, %v", m.raw, s, ok)
		}
		var list []string
		isList := isA[[]any](value) && json.Unmarshal(raw, &list) == nil && !bytes.Contains(raw, []byte("null"))
		if got, ok := asStrings(m.raw); isList && (!ok || len(got) != len(list) || len(got) > 0 && !reflect.DeepEqual(got, list)) {
			t.Fatalf("asStrings(%s) = %q, %v; encoding/json has %q", m.raw, got, ok, list)
		}
		f, isNumber := value.(float64)
		if at, ok := asTime(m.raw); ok && (!isNumber || math.Abs(float64(at.UnixMicro())/1e6-f) > 1e-3) {
			t.Fatalf("asTime(%s) = %v", m.raw, at)
		}
	}
}

func isA[T any](v any) bool { _, ok := v.(T); return ok }

func TestAsTime(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Time{
		"0": time.Unix(0, 0), "-0": time.Unix(0, 0), "1700000000": time.Unix(1700000000, 0), "1.7e9": time.Unix(1700000000, 0),
		"1700000000.5": time.Unix(1700000000, 5e8), "253402300799": time.Unix(253402300799, 0),
		"-1": {}, "253402300800": {}, "1e12": {}, "1e400": {}, "9223372036854775808": {}, "-0.5": {},
		`"1700000000"`: {}, "null": {}, "true": {}, "[]": {}, "{}": {},
	} {
		got, ok := asTime(raw)
		if ok == want.IsZero() || ok && !got.Equal(want) {
			t.Errorf("asTime(%s) = %v, %v; want %v", raw, got, ok, want)
		}
	}
}

func TestCaseVariants(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{
		"iss": false, "ISS": true, "i\u017fs": true, "Org_Id": true, "x\u212a": false, "issuer": false, "https://x/ISS": false, "Roles": false,
	} {
		err := refuseCaseVariants([]member{{name, "1"}}, registeredClaims)
		if (err != nil) != refused {
			t.Errorf("%q: %v, want refused = %v", name, err, refused)
		}
	}
}

// FuzzParseObject: whatever the strict parser accepts, the standard library reads alike.
func FuzzParseObject(f *testing.F) {
	f.Add(`{"a":[1,-0.5e3,"\u00e9\ud83d\ude00",null,true,{"b":{}}],"c":"x"}`)
	f.Add(`{"a":1,"\u0061":1}`)
	f.Fuzz(func(t *testing.T, s string) {
		if members, err := parseObject(s); err == nil {
			checkAgainstEncodingJSON(t, s, members)
		}
	})
}

// FuzzGate: whatever the gate accepts has one spelling, and the standard library reads it alike.
func FuzzGate(f *testing.F) {
	for _, seed := range []struct{ header, payload, signature string }{
		{`{"alg":"RS256","kid":"k","typ":"at+jwt"}`, `{"iss":"https://i/","sub":"s","aud":["a"],"exp":1.7e9}`, "sig"},
		{`{"alg":"ES256","x5t":"x"}`, `{"iss":"i","a":{"b":[{"c":"\ud83d\ude00"}]}}`, "\xff\x00"},
		{"{ \"alg\":\"EdDSA\"}\n", `{"iss":"\u0069"}`, ""},
		{`{"alg":"none"}`, `{}`, ""},
		{`{"alg":"RS256","alg":"none"}`, `{"iss":"a","ISS":"b"}`, "x"},
	} {
		e := base64.RawURLEncoding
		f.Add(e.EncodeToString([]byte(seed.header)) + "." + e.EncodeToString([]byte(seed.payload)) + "." + e.EncodeToString([]byte(seed.signature)))
	}
	f.Add("")
	f.Add("..")
	f.Add("e30.e30.e30\n")
	f.Add(`{"payload":"e30","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		c, err := open(token)
		if err != nil {
			return
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 || parts[0]+"."+parts[1] != string(c.input) || base64.RawURLEncoding.EncodeToString(c.signature) != parts[2] {
			t.Fatalf("%q is not what was read: %+v", token, c)
		}
		for i, part := range parts {
			data, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || base64.RawURLEncoding.EncodeToString(data) != part {
				t.Fatalf("%q: segment %d has another spelling: %v", token, i, err)
			}
			if i == 2 {
				continue
			}
			var object map[string]json.RawMessage
			d := json.NewDecoder(bytes.NewReader(data))
			if err := d.Decode(&object); err != nil || !utf8.Valid(data) {
				t.Fatalf("%q: segment %d is not JSON: %v", token, i, err)
			}
			if _, err := d.Token(); err != io.EOF {
				t.Fatalf("%q: something follows segment %d's object", token, i)
			}
			if i == 1 {
				checkAgainstEncodingJSON(t, string(data), c.payload)
				// A reader with a struct, who ignores case, reads the same issuer.
				var folded struct {
					Iss string `json:"iss"`
				}
				if err := json.Unmarshal(data, &folded); err != nil || folded.Iss != c.iss || c.iss == "" {
					t.Fatalf("%q: iss is %q here and %q (%v) for encoding/json", token, c.iss, folded.Iss, err)
				}
			}
		}
		var header struct{ Alg, Kid, Typ string }
		data, _ := base64.RawURLEncoding.DecodeString(parts[0])
		if err := json.Unmarshal(data, &header); err != nil || header.Alg != c.alg || header.Kid != c.kid || header.Typ != c.typ {
			t.Fatalf("%q: header is %+v for encoding/json and %+v here (%v)", token, header, c, err)
		}
		// The claims are read without a panic too, and twice alike.
		issuer := &trustedIssuer{url: c.iss, audience: []string{"a"}, dialect: Dialect{Types: []string{"at+jwt", "JWT"}}.withDefaults()}
		one, err1 := issuer.decode(&c)
		two, err2 := issuer.decode(&c)
		if (err1 == nil) != (err2 == nil) || !reflect.DeepEqual(one, two) {
			t.Fatalf("%q: decoded to %+v (%v) and then %+v (%v)", token, one, err1, two, err2)
		}
	})
}
