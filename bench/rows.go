package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Row is one way to guard the same handler.
type Row struct {
	Name     string
	State    string // which caches are warm, and what a request has to do
	Status   int    // what every request is answered
	Parallel bool   // GOMAXPROCS goroutines instead of one; ns/op is then wall time over requests

	open func(context.Context, *World) (setup, error)
}

// BenchmarkName is the row's name as the benchmark tools read it: without spaces and punctuation.
func (r Row) BenchmarkName() string {
	name := strings.NewReplacer(", ", "/", " + ", "-and-", " ", "-", "'", "", ",", "").Replace(r.Name)
	if r.Parallel {
		name += "/parallel"
	}
	return name
}

// The names of the rows that others are compared with.
const (
	BareRow   = "bare handler"
	WarmRow   = "Guard, warm"
	CasbinRow = "go-jwt-middleware + casbin"
	OPARow    = "go-jwt-middleware + OPA library"
)

// Rows are all rows, in the order in which a reader wants them.
func Rows() []Row {
	rows := []Row{
		{Name: BareRow, State: "no guard at all", open: bare},
		{Name: WarmRow, State: "token, access and decision cached", open: guardWarm},
		{Name: "Guard, warm, 16,000 tokens", State: "the same, one token after the other", open: guardManyTokens},
		{Name: "Guard, warm, denied", State: "the same, the policy says no", Status: http.StatusForbidden, open: guardDenied},
		{Name: "Guard, token miss", State: "access and decision cached, every token verified", open: guardTokenMiss},
		{Name: "Guard, cold", State: "every token verified, access read from Redis, policy evaluated", open: guardCold},
		{Name: "signature check alone", State: "crypto/rsa verifies the token's signature, nothing else", open: signatureAlone},

		{Name: "go-jwt-middleware", State: "every token verified, no decision at all", open: peer(nil, readAction)},
		{Name: CasbinRow, State: "every token verified, decision cached by casbin", open: peer(casbinAuthorizer, readAction)},
		{
			Name: CasbinRow + ", denied", State: "the same, casbin says no", Status: http.StatusForbidden,
			open: peer(casbinAuthorizer, deleteAction),
		},
		{Name: OPARow, State: "every token verified, prepared query, members in OPA's data", open: peer(opaAuthorizer, readAction)},
		{
			Name: OPARow + ", denied", State: "the same, OPA says no", Status: http.StatusForbidden,
			open: peer(opaAuthorizer, deleteAction),
		},
		{
			Name: OPARow + ", Guard's input", State: "every token verified, prepared query, the Guard's policy and input document",
			open: peer(opaDocumentAuthorizer, readAction),
		},
		{
			Name: OPARow + ", unprepared", State: "every token verified, query built on each request",
			open: peer(opaUnpreparedAuthorizer, readAction),
		},
	}
	for i, row := range rows {
		if row.Status == 0 {
			rows[i].Status = http.StatusOK
		}
		switch row.Name {
		case BareRow, WarmRow, CasbinRow, OPARow:
			parallel := rows[i]
			parallel.Parallel = true
			rows = append(rows, parallel)
		}
	}
	return rows
}

// setup is what a row's open makes.
type setup struct {
	handler http.Handler
	calls   []call // the requests, one after the other, again and again

	// A row whose caches must not be warm has these. prepare is called before a measurement and before all requests are
	// answered once, rewind after that and whenever all have been answered again, check after the measurement: it says
	// whether the requests were answered from where the row says that they are.
	prepare, rewind func() error
	check           func(requests uint64) error
}

// measuredCalls are the requests of the rows with one token.
var measuredCalls = sync.OnceValue(func() []call {
	return []call{newCall(measuredOrg, mint(measuredOrg, measuredMember, 0))}
})

func bare(context.Context, *World) (setup, error) {
	return setup{handler: routed(handler), calls: measuredCalls()}, nil
}

// peer is go-jwt-middleware in front of what newAuthorizer makes, or alone.
func peer(newAuthorizer func() (authorizer, error), action string) func(context.Context, *World) (setup, error) {
	return func(context.Context, *World) (setup, error) {
		var authorize authorizer
		if newAuthorizer != nil {
			var err error
			if authorize, err = newAuthorizer(); err != nil {
				return setup{}, err
			}
		}
		h, err := jwtMiddleware(authorize, action)
		return setup{handler: h, calls: measuredCalls()}, err
	}
}

// Subject is a row that is ready to be measured.
type Subject struct {
	Row
	setup
	wrong atomic.Int64 // a status that a request was answered and should not have been
	err   error
}

// Open builds what row measures, and has every request answered, so that a row that cannot be measured is found at once.
func (w *World) Open(ctx context.Context, row Row) (*Subject, error) {
	made, err := row.open(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", row.Name, err)
	}
	s := &Subject{Row: row, setup: made}
	s.warm()
	return s, s.Err()
}

// warm has every request answered once: the caches are as warm as the row wants them.
func (s *Subject) warm() {
	if s.prepare != nil {
		if err := s.prepare(); err != nil {
			s.err = errors.Join(s.err, err)
			return
		}
	}
	for next, n := s.loop(0), len(s.calls); n > 0; n-- {
		next()
	}
}

// Bench measures requests. Call Err after it.
func (s *Subject) Bench(b *testing.B) {
	if s.warm(); s.err != nil {
		return
	}
	if s.check != nil {
		defer func() { s.err = errors.Join(s.err, s.check(uint64(b.N))) }()
	}
	b.ReportAllocs()
	if s.Parallel {
		var goroutine atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			next := s.loop(int(goroutine.Add(1)) * len(s.calls) / 2)
			for pb.Next() {
				next()
			}
		})
		return
	}
	next := s.loop(0)
	for b.Loop() {
		next()
	}
}

// loop returns a function that has one request answered, each time another one, beginning with the one numbered first. The
// requests are built here, so that none is built while time is taken.
func (s *Subject) loop(first int) func() {
	requests := make([]*http.Request, len(s.calls))
	for i, c := range s.calls {
		requests[i] = c.request()
	}
	rec := &recorder{header: http.Header{}}
	i := first % len(requests)
	return func() {
		rec.reset()
		s.handler.ServeHTTP(rec, requests[i])
		if rec.status != s.Status {
			s.wrong.Store(int64(rec.status))
		}
		if i++; i == len(requests) {
			i = 0
			if s.rewind != nil {
				s.err = errors.Join(s.err, s.rewind())
			}
		}
	}
}

// Err says why what was measured is worthless: a request was answered with another status than the row's, or from elsewhere
// than the row says.
func (s *Subject) Err() error {
	if status := s.wrong.Load(); status != 0 {
		return fmt.Errorf("%s: a request was answered %d, want %d", s.Name, status, s.Status)
	}
	if s.err != nil {
		return fmt.Errorf("%s: %w", s.Name, s.err)
	}
	return nil
}
