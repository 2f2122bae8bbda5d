package claims_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

// inBubble runs test with a fake clock, an issuer, and a way to make a Verifier that fetches its keys.
func inBubble(t *testing.T, test func(*testing.T, *claimstest.Issuer, func(...func(*claims.Config)) *claims.Verifier)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := claimstest.NewIssuer(t)
		remote, client := issuer.RemoteInMemory()
		test(t, issuer, func(edits ...func(*claims.Config)) *claims.Verifier {
			cfg := trusting(remote)
			cfg.HTTPClient = client
			for _, edit := range edits {
				edit(&cfg)
			}
			return newVerifier(t, cfg)
		})
	})
}

func wantOK(t testing.TB, v *claims.Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

func wantRefusal(t testing.TB, v *claims.Verifier, token string, code claims.Code) {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	wantCode(t, err, code)
}

func TestFirstVerifyWaitsForKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		issuer.Hang()
		v := open()
		token := issuer.Token(claims.Token{})

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, token)
		wantCode(t, err, claims.CodeKeysUnavailable)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not wrap the context's error", err)
		}
		if err := v.Health(t.Context()); !errors.Is(err, claims.ErrUnavailable) {
			t.Errorf("Health = %v before the first keys", err)
		}

		var waiting sync.WaitGroup
		for range 100 {
			waiting.Go(func() {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		issuer.Heal()
		waiting.Wait()
		if n := issuer.Fetches(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		if err := v.Health(t.Context()); err != nil {
			t.Errorf("Health = %v", err)
		}
	})
}

func TestUnreachableKeysAreUnavailable(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		issuer.Fail(http.StatusInternalServerError)
		v := open()
		token := issuer.Token(claims.Token{})
		wantRefusal(t, v, token, claims.CodeKeysUnavailable)
		// What can be known without keys is still "no".
		wantRefusal(t, v, "x", claims.CodeMalformed)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := issuer.Fetches(); n < 5 || n > 20 {
			t.Errorf("%d fetches in two minutes", n)
		}
		wantRefusal(t, v, token, claims.CodeKeysUnavailable)
		issuer.Heal()
		time.Sleep(time.Minute)
		wantOK(t, v, issuer.Token(claims.Token{}))
	})
}

func TestHangingEndpointIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		issuer.Hang()
		v := open()
		began := time.Now()
		wantRefusal(t, v, issuer.Token(claims.Token{}), claims.CodeKeysUnavailable)
		if waited := time.Since(began); waited != 10*time.Second {
			t.Errorf("waited for %s", waited)
		}
	})
}

func TestRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		v := open()
		old := issuer.Token(claims.Token{Lifetime: time.Hour})
		wantOK(t, v, old)
		issuer.Rotate() // nobody brings a token of the new key
		wantOK(t, v, old)
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		if n := issuer.Fetches(); n != 2 {
			t.Errorf("%d fetches in 15 minutes", n)
		}
		// The withdrawn key takes its cached tokens with it.
		wantRefusal(t, v, old, claims.CodeInvalidSignature)
		wantOK(t, v, issuer.Token(claims.Token{}))
		if n := issuer.Fetches(); n > 3 { // the old kid may have asked for one
			t.Errorf("%d fetches", n)
		}
	})
}

func TestLastGoodKeysAreKeptWithinABound(t *testing.T) {
	for name, breakIt := range map[string]func(*claimstest.Issuer){
		"status 500": func(i *claimstest.Issuer) { i.Fail(500) },
		"status 404": func(i *claimstest.Issuer) { i.Fail(404) },
		"hangs":      func(i *claimstest.Issuer) { i.Hang() },
		"empty":      func(i *claimstest.Issuer) { i.Serve([]byte{}) },
		"HTML":       func(i *claimstest.Issuer) { i.Serve([]byte("<html>maintenance</html>")) },
		"not keys":   func(i *claimstest.Issuer) { i.Serve([]byte(`{"keys":null}`)) },
		"cut short":  func(i *claimstest.Issuer) { i.Serve([]byte(`{"keys":[]`)) },
		"too long":   func(i *claimstest.Issuer) { i.Serve([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
				v := open(func(c *claims.Config) { c.MaxKeyAge = 2 * time.Hour })
				token := issuer.Token(claims.Token{Lifetime: 24 * time.Hour})
				wantOK(t, v, token)
				breakIt(issuer)
				time.Sleep(2*time.Hour - time.Second)
				wantOK(t, v, token)
				wantOK(t, v, issuer.Token(claims.Token{}))
				if err := v.Health(t.Context()); err != nil {
					t.Errorf("Health = %v", err)
				}
				time.Sleep(time.Second)
				wantRefusal(t, v, token, claims.CodeKeysUnavailable) // also from the cache
				if err := v.Health(t.Context()); !errors.Is(err, claims.ErrUnavailable) {
					t.Errorf("Health = %v", err)
				}
				issuer.Heal()
				time.Sleep(2 * time.Minute)
				wantOK(t, v, token)
			})
		})
	}
}

// An issuer that publishes no usable key any more has withdrawn them all: no token of theirs outlives the next fetch.
// TestLastGoodKeysAreKeptWithinABound is the twin, with answers that are no key set.
func TestWithdrawalOfTheLastKey(t *testing.T) {
	for name, body := range map[string][]byte{
		"no keys":        []byte(`{"keys":[]}`),
		"symmetric only": jwks(jwk([]byte("secret"), nil)),
		"for encryption": jwks(jwk(ecKey().Public(), map[string]any{"use": "enc"})),
		"unknown kind":   []byte(`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","kid":"k","pub":"AA"}]}`),
		"kid twice":      jwks(jwk(ecKey().Public(), map[string]any{"kid": "k"}), jwk(ecKey().Public(), map[string]any{"kid": "k"})),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
				var log bytes.Buffer
				v := open(func(c *claims.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				token := issuer.Token(claims.Token{Lifetime: 24 * time.Hour})
				wantOK(t, v, token)
				issuer.Serve(body)
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				if said := log.String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "no usable key") {
					t.Errorf("log = %s", said)
				}
				wantRefusal(t, v, token, claims.CodeKeysUnavailable) // also from the cache
				wantRefusal(t, v, issuer.Token(claims.Token{}), claims.CodeKeysUnavailable)
				if err := v.Health(t.Context()); !errors.Is(err, claims.ErrUnavailable) || !strings.Contains(err.Error(), "no usable key") {
					t.Errorf("Health = %v", err)
				}
				issuer.Fail(http.StatusInternalServerError) // a failure does not bring the old keys back
				time.Sleep(2 * time.Minute)
				wantRefusal(t, v, token, claims.CodeKeysUnavailable)
				issuer.Heal()
				time.Sleep(2 * time.Minute)
				wantOK(t, v, token)
				if err := v.Health(t.Context()); err != nil {
					t.Errorf("Health = %v", err)
				}
			})
		})
	}
}

func TestUnknownKIDFetchesOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		v := open()
		wantOK(t, v, issuer.Token(claims.Token{}))
		issuer.Rotate()
		wantOK(t, v, issuer.Token(claims.Token{})) // does not wait for the refresh
		if n := issuer.Fetches(); n != 2 {
			t.Errorf("%d fetches after a rotation", n)
		}

		// A second rotation within the interval has to wait.
		issuer.Rotate()
		early := issuer.Token(claims.Token{})
		wantRefusal(t, v, early, claims.CodeInvalidSignature)
		if n := issuer.Fetches(); n != 2 {
			t.Errorf("%d fetches within the interval", n)
		}
		time.Sleep(time.Minute)
		wantOK(t, v, early)
		if n := issuer.Fetches(); n != 3 {
			t.Errorf("%d fetches after the interval", n)
		}
	})
}

func TestUnknownKIDStorm(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		v := open()
		good := issuer.Token(claims.Token{Lifetime: time.Hour})
		wantOK(t, v, good)
		header, payload := issuer.Baseline()
		forge := func(kid string) string { return issuer.Forge(strings.Replace(header, issuer.KeyID(), kid, 1), payload) }

		issuer.Hang()
		var storm sync.WaitGroup
		for i := range 500 {
			storm.Go(func() {
				_, err := v.Verify(t.Context(), forge(fmt.Sprint("unknown", i)))
				wantCode(t, err, claims.CodeInvalidSignature)
			})
		}
		synctest.Wait()
		wantOK(t, v, good) // nobody else waits
		issuer.Heal()
		storm.Wait()
		for i := range 500 {
			wantRefusal(t, v, forge(fmt.Sprint("later", i)), claims.CodeInvalidSignature)
		}
		if n := issuer.Fetches(); n != 2 {
			t.Errorf("%d fetches for a thousand unknown kids", n)
		}

		// One and the same unknown kid is not asked for again as soon as it may be.
		time.Sleep(time.Minute)
		wantRefusal(t, v, forge("stubborn"), claims.CodeInvalidSignature)
		for range 4 {
			time.Sleep(time.Minute)
			wantRefusal(t, v, forge("stubborn"), claims.CodeInvalidSignature)
		}
		if n := issuer.Fetches(); n != 3 {
			t.Errorf("%d fetches for a stubborn client", n)
		}
	})
}

func TestUnknownKIDWhileTheIssuerIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		v := open()
		wantOK(t, v, issuer.Token(claims.Token{}))
		issuer.Hang()
		issuer.Rotate()
		token := issuer.Token(claims.Token{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, token)
		wantCode(t, err, claims.CodeKeysUnavailable) // the caller gave up before it could be known
		wantRefusal(t, v, token, claims.CodeKeysUnavailable)
		issuer.Heal()
		time.Sleep(2 * time.Second) // the next try is soon
		wantOK(t, v, token)
	})
}

// While keys cannot be fetched nobody knows whether a kid is good, and attackers with unknown ones cause no more fetches than
// usual. What the issuer has said before stays said.
func TestUnknownKIDIsNoRefusalDuringAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		v := open(func(c *claims.Config) { c.RefreshInterval, c.UnknownKeyInterval = 2*time.Hour, 10*time.Second })
		good := issuer.Token(claims.Token{Lifetime: time.Hour})
		wantOK(t, v, good)
		header, payload := issuer.Baseline()
		forge := func(kid string) string { return issuer.Forge(strings.Replace(header, issuer.KeyID(), kid, 1), payload) }
		denied := forge("denied")
		wantRefusal(t, v, denied, claims.CodeInvalidSignature)
		time.Sleep(10 * time.Second)

		issuer.Fail(http.StatusInternalServerError)
		before := issuer.Fetches()
		for i := range 200 {
			_, err := v.Verify(t.Context(), forge(fmt.Sprint("unknown", i)))
			wantCode(t, err, claims.CodeKeysUnavailable)
			if cause := errors.Unwrap(err); cause == nil || !strings.Contains(cause.Error(), "500") {
				t.Fatalf("cause = %v", cause)
			}
		}
		if n := issuer.Fetches() - before; n != 1 {
			t.Errorf("%d fetches for 200 unknown kids", n)
		}
		wantOK(t, v, good)
		wantRefusal(t, v, denied, claims.CodeInvalidSignature)

		// Kids of the outage are not remembered as missing: after it they may be asked for like any other.
		late := forge("unknown0")
		time.Sleep(100 * time.Second)
		if n := issuer.Fetches() - before; n > 10 {
			t.Errorf("%d fetches in 100 s of an outage", n)
		}
		issuer.Heal()
		time.Sleep(time.Minute)
		before = issuer.Fetches()
		wantRefusal(t, v, late, claims.CodeInvalidSignature) // the issuer is asked again, and now it is known
		if n := issuer.Fetches() - before; n != 1 {
			t.Errorf("%d fetches after the outage", n)
		}
	})
}

func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
		v := open()
		token := issuer.Token(claims.Token{Lifetime: time.Hour})
		wantOK(t, v, token)
		for range 2 {
			if err := v.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
		wantOK(t, v, token)
		issuer.Rotate()
		wantRefusal(t, v, issuer.Token(claims.Token{}), claims.CodeKeysUnavailable) // an unknown kid, and nobody left to ask
		time.Sleep(time.Hour)
		if n := issuer.Fetches(); n != 1 {
			t.Errorf("%d fetches after Close", n)
		}
	})
	t.Run("while hanging", func(t *testing.T) {
		inBubble(t, func(t *testing.T, issuer *claimstest.Issuer, open func(...func(*claims.Config)) *claims.Verifier) {
			issuer.Hang()
			v := open()
			var waiting sync.WaitGroup
			waiting.Go(func() {
				_, err := v.Verify(t.Context(), issuer.Token(claims.Token{}))
				wantCode(t, err, claims.CodeKeysUnavailable)
			})
			synctest.Wait()
			_ = v.Close()
			waiting.Wait()
		})
	})
}
