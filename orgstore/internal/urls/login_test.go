package urls

import (
	"net/url"
	"strings"
	"testing"
)

func TestCheckLogin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, uri     string
		login, preset bool
	}{
		{"URL-2: plain", "https://app.example.com/login", true, true},
		{"URL-2: a query and a fragment", "https://app.example.com/?a=b#/login?c", true, true},
		{"URL-2: a label", "https://{organization.metadata.public_sub}.example.com/login", true, false},
		{"URL-2: an inner label", "https://login.{organization.metadata.PUBLIC_sub}.example.com", true, false},
		{"URL-2: the whole host", "https://{organization.metadata.public_host}/login", true, false},
		{"URL-2: the whole host with a port", "https://{organization.metadata.public_host}:8443/login", true, false},
		{"URL-2: a path, twice", "https://a.example/{organization.metadata.public_a}/{organization.metadata.public_b}", true, false},
		{"URL-2: a query", "https://a.example/?x={organization.metadata.public_a}", true, false},
		{"URL-2: a fragment", "https://a.example/#{organization.metadata.public_a}", true, false},

		{"URL-2: empty", "", false, false},
		{"URL-2: http", "http://app.example.com/login", false, false},
		{"URL-2: an own scheme", "com.example.app://login", false, false},
		{"URL-2: localhost", "https://localhost/login", false, false},
		{"URL-2: below localhost", "https://a.localhost/login", false, false},
		{"URL-2: a loopback address", "https://127.0.0.1/login", false, false},
		{"URL-2: another loopback address", "https://[::1]/login", false, false},
		{"URL-2: private metadata", "https://a.example/{organization.metadata.secret}", false, false},
		{"URL-2: an upper-case beginning", "https://a.example/{organization.metadata.Public_a}", false, false},
		{"URL-2: another placeholder", "https://a.example/{organization_name}", false, false},
		{"URL-2: not closed", "https://a.example/{organization.metadata.public_a", false, false},
		{"URL-2: nested", "https://a.example/{organization.metadata.public_{organization.metadata.public_a}}", false, false},
		{"URL-2: a part of a label", "https://a-{organization.metadata.public_a}.example.com/", false, false},
		{"URL-2: a part of a label before text", "https://{organization.metadata.public_a}-a.example.com/", false, false},
		{"URL-2: a port", "https://a.example:{organization.metadata.public_a}/", false, false},
		{"URL-2: user info", "https://{organization.metadata.public_a}@a.example/", false, false},
		{"URL-3: user info", "https://a@a.example/", false, false},
		{"URL-3: a backslash", `https://a.example\@b.example/`, false, false},
		{"URL-3: a backslash in the fragment", `https://a.example/#\`, false, false},
		{"URL-3: a line break in the fragment", "https://a.example/#\r\nX: y", false, false},
		{"URL-3: two fragments", "https://a.example/#a#b", false, false},
		{"URL-3: invalid UTF-8", "https://a.example/\xff", false, false},
		{"URL-3: too long", long(2049), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := CheckLogin(tt.uri); (err == nil) != tt.login {
				t.Errorf("CheckLogin: %v, want ok: %t", err, tt.login)
			}
			if err := CheckDefault(tt.uri); (err == nil) != tt.preset {
				t.Errorf("CheckDefault: %v, want ok: %t", err, tt.preset)
			}
			if !tt.login {
				if got, ok := Login(tt.uri, "", map[string]string{"public_a": "x", "public_host": "a.example"}); ok {
					t.Errorf("what is refused led to %q", got)
				}
			}
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	const fallback = "https://travel0.example/login"
	const host, label = "https://{organization.metadata.public_v}/login", "https://{organization.metadata.public_v}.example.com:8443/login"
	const path, query = "https://a.example/o/{organization.metadata.public_v}?x", "https://a.example/?o={organization.metadata.public_v}&x=y"
	for _, tt := range []struct{ name, template, value, want string }{
		{"URL-2: without placeholders", "https://a.example/#x", "", "https://a.example/#x"},
		{"URL-2: host", host, "login.acme.example", "https://login.acme.example/login"},
		{"URL-2: host in upper case", host, "Login.Acme.Example", "https://login.acme.example/login"},
		{"URL-2: label", label, "acme", "https://acme.example.com:8443/login"},
		{"URL-2: path", path, "a b/c?d#e%2f", "https://a.example/o/a%20b%2Fc%3Fd%23e%252f?x"},
		{"URL-2: query", query, "a&b=c#ü+", "https://a.example/?o=a%26b%3Dc%23%C3%BC%2B&x=y"},
		{"URL-2: fragment", "https://a.example/#{organization.metadata.public_v}", "a b", "https://a.example/#a%20b"},

		{"URL-2: no template", "", "v", fallback},
		{"URL-2: no such key", path, "", fallback},
		{"URL-2: a key of another name", "https://a.example/{organization.metadata.public_w}", "v", fallback},
		{"URL-2: a dot segment", path, "..", fallback},
		{"URL-3: a path as a host", host, "evil.example/x", fallback},
		{"URL-3: user info as a host", host, "a@evil.example", fallback},
		{"URL-3: a port as a host", host, "evil.example:1", fallback},
		{"URL-3: localhost as a host", host, "localhost", fallback},
		{"URL-3: a host as a label", label, "evil.example/", fallback},
		{"URL-3: two labels as a label", label, "a.b", fallback},
		{"URL-3: a control character in a label", label, "a\n", fallback},
		{"URL-3: too long", path, strings.Repeat("x", 2048), fallback},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			metadata := map[string]string{}
			if tt.value != "" {
				metadata["public_v"] = tt.value
			}
			if got, ok := Login(tt.template, fallback, metadata); !ok || got != tt.want {
				t.Errorf("Login = %q, %t, want %q", got, ok, tt.want)
			}
			if got, ok := Login(tt.template, "", metadata); ok != (tt.want != fallback) {
				t.Errorf("Login without a fallback = %q, %t", got, ok)
			}
		})
	}
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, uri, want string }{
		{"URL-2: no query", "https://a.example/login", "https://a.example/login?invitation=t&organization=org_1&organization_name=a"},
		{"URL-2: an empty query", "https://a.example/login?", "https://a.example/login?invitation=t&organization=org_1&organization_name=a"},
		{"URL-2: a query is kept", "https://a.example/?b=c&b=%20", "https://a.example/?b=c&b=%20&invitation=t&organization=org_1&organization_name=a"},
		{"URL-2: a fragment is kept", "https://a.example/#/x?y", "https://a.example/?invitation=t&organization=org_1&organization_name=a#/x?y"},
		{"URL-2: parameters of the same names go", "https://a.example/?organization=x&%69nvitation=y&z", "https://a.example/?z&invitation=t&organization=org_1&organization_name=a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Invitation(tt.uri, "t", "org_1", "a"); got != tt.want {
				t.Errorf("Invitation = %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzLogin reads back with net/url what was filled in: every value is what it was, where it belongs, and nothing else moved.
func FuzzLogin(f *testing.F) {
	f.Add("acme", "ticket")
	f.Add("../a?b#c&d=e", "a&b")
	f.Add("a.b", "")
	f.Add("%2e%2e", "#")
	f.Fuzz(func(t *testing.T, value, ticket string) {
		const v = "{organization.metadata.public_v}"
		metadata := map[string]string{"public_v": value}
		filled, ok := Login("https://a.example/p/"+v+"/q?x="+v+"&y=1#f="+v, "", metadata)
		if ok {
			u, err := url.Parse(filled)
			if err != nil || u.Host != "a.example" || u.User != nil || u.Path != "/p/"+value+"/q" || u.Query().Get("x") != value ||
				u.Query().Get("y") != "1" || len(u.Query()) != 2 || u.Fragment != "f="+value {
				t.Errorf("%q became %q (%v)", value, filled, err)
			}
			link, err := url.Parse(Invitation(filled, ticket, "org_1", value))
			if err != nil || link.Host != u.Host || link.EscapedPath() != u.EscapedPath() || link.EscapedFragment() != u.EscapedFragment() {
				t.Fatalf("%q became %q (%v)", filled, link, err)
			}
			if q := link.Query(); len(q) != 5 || q.Get("invitation") != ticket || q.Get("organization_name") != value || q.Get("x") != value {
				t.Errorf("%q became %q", filled, link)
			}
		}
		if filled, ok := Login("https://"+v+".example.com/p", "", metadata); ok {
			u, err := url.Parse(filled)
			if err != nil {
				t.Fatal(err)
			}
			label, below := strings.CutSuffix(u.Hostname(), ".example.com")
			if !below || strings.Contains(label, ".") || u.Path != "/p" || u.User != nil {
				t.Errorf("%q became %q", value, filled)
			}
		}
		if filled, ok := Login("https://"+v+":8443/p?q", "", metadata); ok {
			if u, err := url.Parse(filled); err != nil || u.Host != strings.ToLower(value)+":8443" || u.Path != "/p" || u.User != nil {
				t.Errorf("%q became %q (%v)", value, filled, err)
			}
		}
	})
}
