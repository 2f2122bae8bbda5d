package urls

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// long is a URL of n bytes.
func long(n int) string {
	return "https://a.example/" + strings.Repeat("x", n-len("https://a.example/"))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pattern    string
		redirect, origin bool
	}{
		{"URL-3: a URL", "https://app.example.com/callback", true, false},
		{"URL-3: an origin", "https://app.example.com", true, true},
		{"URL-3: a port", "http://localhost:3000", true, true},
		{"URL-3: a query", "https://app.example.com/cb?a=b", true, false},
		{"URL-3: an IPv4 address", "http://127.0.0.1:80/", true, false},
		{"URL-3: an IPv6 address", "http://[::1]:3000", true, true},
		{"URL-3: an application's own scheme", "com.example.app://callback", true, false},
		{"URL-3: an application's own scheme without a host", "com.example.app:/callback", true, false},
		{"URL-3: 2,048 bytes", long(2048), true, false},
		{"URL-1: the name", "https://{organization_name}.example.com/cb", true, false},
		{"URL-1: the name in an origin", "https://{organization_name}.example.com", true, true},
		{"URL-1: the name on http with a port", "http://{organization_name}.localhost:3000", true, true},
		{"URL-1: a wildcard", "https://*.example.com/cb", true, false},
		{"URL-1: a wildcard with a prefix and a suffix", "https://pr-*-app.example.com", true, true},

		{"URL-3: empty", "", false, false},
		{"URL-3: relative", "/callback", false, false},
		{"URL-3: without a scheme", "//app.example.com/cb", false, false},
		{"URL-3: without a host", "https:///cb", false, false},
		{"URL-3: opaque", "https:app.example.com", false, false},
		{"URL-3: user info", "https://user@app.example.com/", false, false},
		{"URL-3: empty user info", "https://@app.example.com/", false, false},
		{"URL-3: a fragment", "https://app.example.com/#a", false, false},
		{"URL-3: an empty fragment", "https://app.example.com/#", false, false},
		{"URL-3: a backslash", `https://app.example.com\cb`, false, false},
		{"URL-3: a space", "https://app.example.com/a b", false, false},
		{"URL-3: a line break", "https://app.example.com/\n", false, false},
		{"URL-3: NUL", "https://app.example.com/\x00", false, false},
		{"URL-3: invalid UTF-8", "https://app.example.com/\xff", false, false},
		{"URL-3: a look-alike", "https://аpp.example.com/", false, false},
		{"URL-3: an escaped host", "https://app%2eexample.com/", false, false},
		{"URL-3: an empty port", "https://app.example.com:/", false, false},
		{"URL-3: port 0", "https://app.example.com:0/", false, false},
		{"URL-3: port 65536", "https://app.example.com:65536/", false, false},
		{"URL-3: a port with a leading zero", "https://app.example.com:0443/", false, false},
		{"URL-3: an octal address", "http://0177.0.0.1/", false, false},
		{"URL-3: a decimal address", "http://2130706433/", false, false},
		{"URL-3: a hexadecimal address", "http://0x7f000001/", false, false},
		{"URL-3: an IPv6 zone", "http://[fe80::1%25eth0]/", false, false},
		{"URL-3: a trailing dot", "https://app.example.com./", false, false},
		{"URL-3: an empty label", "https://app..com/", false, false},
		{"URL-3: javascript", "javascript://app.example.com/%0aalert(1)", false, false},
		{"URL-3: data", "data:text/html,x", false, false},
		{"URL-3: too long", long(2049), false, false},
		{"URL-1: not the leftmost label", "https://app.{organization_name}.example.com", false, false},
		{"URL-1: a prefix", "https://app-{organization_name}.example.com", false, false},
		{"URL-1: a suffix", "https://{organization_name}-app.example.com", false, false},
		{"URL-1: twice", "https://{organization_name}.{organization_name}.example.com", false, false},
		{"URL-1: beside a wildcard", "https://{organization_name}.*.example.com", false, false},
		{"URL-1: in one label with a wildcard", "https://{organization_name}*.example.com", false, false},
		{"URL-1: the whole host", "https://{organization_name}", false, false},
		{"URL-1: the whole host but the top-level domain", "https://{organization_name}.com/", false, false},
		{"URL-1: in the path", "https://app.example.com/{organization_name}", false, false},
		{"URL-1: in the query", "https://app.example.com/?o={organization_name}", false, false},
		{"URL-1: another scheme", "com.example.app://{organization_name}.example.com", false, false},
		{"URL-1: another placeholder", "https://{organization_id}.example.com", false, false},
		{"URL-1: an address to the right", "http://{organization_name}.0.0.1", false, false},
		{"URL-1: two wildcards in a label", "https://**.example.com", false, false},
		{"URL-1: two wildcards", "https://*.*.example.com", false, false},
		{"URL-1: a wildcard for a domain", "https://*.com", false, false},
		{"URL-1: a wildcard for everything", "*", false, false},
		{"URL-1: a wildcard in the path", "https://app.example.com/*", false, false},
		{"URL-1: a wildcard for the port", "http://localhost:*", false, false},
		{"URL-1: a wildcard for the scheme", "*://app.example.com", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := CheckRedirect(tt.pattern); (err == nil) != tt.redirect {
				t.Errorf("CheckRedirect: %v, want ok: %t", err, tt.redirect)
			}
			if err := CheckOrigin(tt.pattern); (err == nil) != tt.origin {
				t.Errorf("CheckOrigin: %v, want ok: %t", err, tt.origin)
			}
			if !tt.redirect && Match(tt.pattern, tt.pattern, "acme") {
				t.Error("a pattern that is refused admits something")
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const name, star = "https://{organization_name}.example.com/cb", "https://pr-*.example.com/cb"
	for _, tt := range []struct {
		name, pattern, target, org string
		want                       bool
	}{
		{"URL-3: the same", "https://a.example/cb?x=1", "https://a.example/cb?x=1", "", true},
		{"URL-3: case of scheme and host", "https://A.example/cb", "HTTPS://a.EXAMPLE/cb", "", true},
		{"URL-3: the scheme's own port", "https://a.example:443/cb", "https://a.example/cb", "", true},
		{"URL-3: an own scheme", "com.example.app://cb", "com.example.app://cb", "", true},

		{"URL-3: case of the path", "https://a.example/cb", "https://a.example/CB", "", false},
		{"URL-3: another scheme", "https://a.example/cb", "http://a.example/cb", "", false},
		{"URL-3: another port", "https://a.example/cb", "https://a.example:8443/cb", "", false},
		{"URL-3: another host", "https://a.example/cb", "https://b.example/cb", "", false},
		{"URL-3: a sub-domain", "https://a.example/cb", "https://x.a.example/cb", "", false},
		{"URL-3: a longer path", "https://a.example/cb", "https://a.example/cb/x", "", false},
		{"URL-3: a slash more", "https://a.example", "https://a.example/", "", false},
		{"URL-3: dot segments", "https://a.example/cb", "https://a.example/x/../cb", "", false},
		{"URL-3: a query more", "https://a.example/cb", "https://a.example/cb?x=1", "", false},
		{"URL-3: an empty query more", "https://a.example/cb", "https://a.example/cb?", "", false},
		{"URL-3: a fragment more", "https://a.example/cb", "https://a.example/cb#x", "", false},
		{"URL-3: user info", "https://a.example/cb", "https://a.example@evil.example/cb", "", false},
		{"URL-3: an escaped path", "https://a.example/cb", "https://a.example/c%62", "", false},
		{"URL-3: slashes of an own scheme", "com.example.app:/cb", "com.example.app:///cb", "", false},

		{"URL-1: the name", name, "https://acme.example.com/cb", "acme", true},
		{"URL-1: the name in another case", name, "https://ACME.example.com/cb", "acme", true},
		{"URL-1: a name with all that it can have", name, "https://0a-b_c.example.com/cb", "0a-b_c", true},
		{"URL-1: another organization's name", name, "https://globex.example.com/cb", "acme", false},
		{"URL-1: no organization", name, "https://acme.example.com/cb", "", false},
		{"URL-1: no organization and no name", name, "https://.example.com/cb", "", false},
		{"URL-1: the placeholder itself", name, "https://{organization_name}.example.com/cb", "acme", false},
		{"URL-1: a label more", name, "https://x.acme.example.com/cb", "acme", false},
		{"URL-1: what is no name, but a host", name, "https://evil.com/x.example.com/cb", "evil.com/x", false},
		{"URL-1: a name with a dot", name, "https://a.b.example.com/cb", "a.b", false},
		{"URL-1: another path", name, "https://acme.example.com/x", "acme", false},

		{"URL-1: a wildcard", star, "https://pr-7.example.com/cb", "", true},
		{"URL-1: a wildcard in an organization's login", star, "https://pr-7.example.com/cb", "acme", true},
		{"URL-1: nothing for the wildcard", star, "https://pr-.example.com/cb", "", false},
		{"URL-1: two labels for the wildcard", star, "https://pr-7.x.example.com/cb", "", false},
		{"URL-1: a slash for the wildcard", star, "https://pr-7/x.example.com/cb", "", false},
		{"URL-1: another prefix", star, "https://7.example.com/cb", "", false},
		{"URL-1: the star itself", star, "https://pr-*.example.com/cb", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Match(tt.pattern, tt.target, tt.org); got != tt.want {
				t.Errorf("Match = %t, want %t", got, tt.want)
			}
			if got := Allowed([]string{"https://other.example", tt.pattern}, tt.target, tt.org); got != tt.want {
				t.Errorf("Allowed = %t, want %t", got, tt.want)
			}
		})
	}
	if Allowed(nil, "https://a.example", "acme") {
		t.Error("URL-3: no pattern admits a URL")
	}
}

// FuzzMatch holds what is admitted against a regular expression made of the pattern, and against what net/url reads.
func FuzzMatch(f *testing.F) {
	f.Add("https://app.example.com/cb", "https://app.example.com/cb", "")
	f.Add("https://{organization_name}.example.com/cb?a", "https://acme.example.com/cb?a", "acme")
	f.Add("https://a*z.example.com:8443", "https://abz.example.com:8443", "")
	f.Add("http://[::1]:80/", "http://[::1]/", "")
	f.Add("com.example.app:/cb", "com.example.app:/cb", "")
	f.Fuzz(func(t *testing.T, pattern, target, name string) {
		admitted := Match(pattern, target, name)
		if err := CheckRedirect(pattern); err != nil && admitted {
			t.Errorf("%q is no pattern (%v) and admits %q", pattern, err, target)
		} else if err == nil && !strings.ContainsAny(pattern, "*{") && !Match(pattern, pattern, name) {
			t.Errorf("%q does not admit itself", pattern)
		}
		if !admitted {
			return
		}
		u, err := url.Parse(target)
		if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.ContainsAny(target, "\\#@\r\n\t ") && !strings.Contains(u.Path+u.RawQuery, "@") {
			t.Fatalf("%q admits %q", pattern, target)
		}
		text := regexp.QuoteMeta(pattern)
		text = strings.Replace(text, regexp.QuoteMeta(NamePlaceholder), regexp.QuoteMeta(name), 1)
		text = strings.Replace(text, `\*`, `[0-9A-Za-z_-]+`, 1)
		// The case of scheme and host, and the scheme's own port, do not count.
		same := regexp.MustCompile(`^(?i:` + text + `)$`)
		if !same.MatchString(target) && !strings.Contains(pattern+target, ":80") && !strings.Contains(pattern+target, ":443") {
			t.Errorf("%q admits %q for %q", pattern, target, name)
		}
	})
}
