package claims_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

// Over a real socket, as it is used.
func TestRemoteOverHTTP(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Remote()))
	wantOK(t, v, issuer.Token(claims.Token{}))
	issuer.Rotate()
	wantOK(t, v, issuer.Token(claims.Token{}))
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.Handle("/keys", issuer)
	mux.Handle("/once", http.RedirectHandler("/keys", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/insecure", http.RedirectHandler("http://keys.example.invalid/", http.StatusFound))
	for path, ok := range map[string]bool{"/keys": true, "/once": true, "/loop": false, "/insecure": false} {
		trusted := issuer.Remote()
		trusted.JWKSURL = server.URL + path
		v := newVerifier(t, trusting(trusted))
		_, err := v.Verify(t.Context(), issuer.Token(claims.Token{}))
		if ok && err != nil {
			t.Errorf("%s: %v", path, err)
		} else if !ok {
			wantCode(t, err, claims.CodeKeysUnavailable)
			if strings.Contains(fmt.Sprint(errors.Unwrap(err)), "no such host") {
				t.Errorf("%s was followed: %v", path, errors.Unwrap(err))
			}
		}
	}
}

// Once https, always https: an answer that came over http vouches for nothing, wherever the question began. The twins are the
// redirects that do not leave https.
func TestRedirectsStayOnHTTPS(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	plainMux, secureMux := http.NewServeMux(), http.NewServeMux()
	plain, secure := httptest.NewServer(plainMux), httptest.NewTLSServer(secureMux)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for _, mux := range []*http.ServeMux{plainMux, secureMux} {
		mux.Handle("/keys", issuer)
		mux.Handle("/to-http", http.RedirectHandler(plain.URL+"/keys", http.StatusFound))
		mux.Handle("/to-https", http.RedirectHandler(secure.URL+"/keys", http.StatusFound))
		mux.Handle("/to-https-to-http", http.RedirectHandler(secure.URL+"/to-http", http.StatusFound))
	}
	for url, ok := range map[string]bool{
		secure.URL + "/keys": true, secure.URL + "/to-https": true, plain.URL + "/to-https": true, plain.URL + "/to-http": true,
		secure.URL + "/to-http": false, plain.URL + "/to-https-to-http": false, secure.URL + "/to-https-to-http": false,
	} {
		for _, insecure := range []bool{false, true} {
			trusted := issuer.Remote()
			trusted.JWKSURL, trusted.InsecureKeysOverHTTP = url, insecure
			cfg := trusting(trusted)
			cfg.HTTPClient = secure.Client()
			_, err := newVerifier(t, cfg).Verify(t.Context(), issuer.Token(claims.Token{}))
			if ok && err != nil {
				t.Errorf("%s: %v", url, err)
			} else if !ok {
				if wantCode(t, err, claims.CodeKeysUnavailable); !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "from https to http") {
					t.Errorf("%s: %v", url, errors.Unwrap(err))
				}
			}
		}
	}
}

// Who is woken by Health learns whose keys are missing, where they should be and why they are not, but no secret of the URL.
func TestHealthSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		client http.RoundTripper
		want   string
	}{
		"network": {noNetwork{}, "no network"},
		"status":  {answers(http.StatusForbidden), "403"},
	} {
		var log bytes.Buffer
		cfg := trusting(claims.Issuer{URL: "https://login.example/", Audience: []string{"a"}, JWKSURL: "https://keys.example/set?token=secret"})
		cfg.HTTPClient, cfg.Logger = &http.Client{Transport: tt.client}, slog.New(slog.NewTextHandler(&log, nil))
		v := newVerifier(t, cfg)
		_, err := v.Verify(t.Context(), unsignedBy("https://login.example/")) // waits for the first fetch
		wantCode(t, err, claims.CodeKeysUnavailable)
		err = v.Health(t.Context())
		if !errors.Is(err, claims.ErrUnavailable) {
			t.Errorf("%s: Health = %v", name, err)
		}
		_ = v.Close() // the log is complete
		for _, want := range []string{"https://login.example/", "https://keys.example/set", "fetched yet", tt.want} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Health does not say %q: %v", name, want, err)
			}
		}
		if said := err.Error() + log.String(); strings.Contains(said, "secret") {
			t.Errorf("%s: a secret in %s", name, said)
		}
	}
}

type answers int

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

// unsignedBy returns a token that is well-formed and no more.
func unsignedBy(issuer string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64([]byte(`{"iss":"`+issuer+`"}`)) + ".AAAA"
}
