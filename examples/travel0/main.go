// Travel0 is a small product that sells adventure management to other businesses, protected by orgauthz: its customers are
// organizations, whose members hold roles, and one of them brings a policy of its own.
//
//	go run ./examples/travel0
//
// serves it on embedded defaults and prints commands to try. The tour of the code: routes.go has the API with one line
// per route, app.go puts the five parts of orgauthz together, policies/ holds the Rego files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// shutdownTime is how long requests in flight may take to finish once the program is told to stop.
const shutdownTime = 4 * time.Second

func main() {
	redis.SetLogger(quiet{}) // the cache logs what matters of a Redis that is gone
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // what is wrong has been said
	case err != nil:
		fmt.Fprintln(os.Stderr, "travel0:", err)
		os.Exit(1)
	}
}

// quiet drops what the Redis client says.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

var errUsage = errors.New("unusable flags")

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("travel0", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "travel0 serves the Travel0 demo API, protected by orgauthz.\n\nusage: travel0 [flags]")
		flags.PrintDefaults()
	}
	addr := flags.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	var o options
	flags.StringVar(&o.db, "db", "", "keep the data in this SQLite `file`, or at a postgres:// URL (default: in memory)")
	flags.StringVar(&o.redis, "redis", "", "share the cache of memberships in this Redis: `host:port` or URL (default: an embedded one)")
	flags.StringVar(&o.policies, "policies", "", "read the Rego policies from this `directory`, and again when they change (default: embedded)")
	flags.StringVar(&o.key, "key", "", "sign tokens with the private key in this PEM `file`, PKCS #8, RSA, EC or Ed25519 (default: a fresh key)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "travel0: unexpected argument %q: travel0 takes only flags, see -h\n", flags.Arg(0))
		return errUsage
	}
	o.log = slog.New(slog.NewTextHandler(stderr, nil))

	if _, _, err := net.SplitHostPort(*addr); err != nil {
		return fmt.Errorf("-addr: %w: give host:port", err)
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("-addr: %w: give a free host:port", err)
	}
	defer listener.Close()
	a, err := open(ctx, o)
	if err != nil {
		return err
	}
	if err := a.welcome(stdout, listener.Addr().(*net.TCPAddr)); err != nil {
		return errors.Join(err, a.Close())
	}
	return errors.Join(serve(ctx, listener, a.handler()), a.Close())
}

// serve answers requests until ctx ends, then lets those in flight finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // cuts what did not finish in time
		}
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// welcome says where the API is, with requests that work when pasted.
func (a *app) welcome(w io.Writer, addr *net.TCPAddr) error {
	if addr.IP.IsUnspecified() {
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: addr.Port}
	}
	token, err := a.mint("emilio", graniteID, int64(maxLifetime/time.Second))
	if err != nil {
		return err
	}
	admin, err := a.mint("granite-admin", graniteID, int64(maxLifetime/time.Second))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `Travel0 listens on http://%[1]s

Granite Outpost's adventures, as its freelance guide Emilio sees them:
curl -s http://%[1]s/orgs/granite-outpost/adventures -H 'Authorization: Bearer %[2]s'

Emilio signs up for one that Granite Outpost's own policy keeps for staff:
curl -s -X POST http://%[1]s/orgs/granite-outpost/adventures/quarry-night-climb/signups -H 'Authorization: Bearer %[2]s'

A token for anybody else (a demo endpoint: it asks no questions):
curl -s http://%[1]s/dev/tokens -d '{"user": "granite-admin", "org": "granite-outpost"}'

Emilio logs in, with an account that is believed for the asking, and is asked which organization:
curl -s http://%[1]s/dev/login -d '{"email": "emilio@example.com"}'

Sumana logs in at AdventureZ's identity provider, for Rocky Mountain High, which has a contract with AdventureZ:
curl -s http://%[1]s/dev/login -d '{"email": "sumana@adventurez.example", "organization": "rocky-mountain-high"}'

Granite Outpost's admin invites her:
curl -s http://%[1]s/orgs/granite-outpost/invitations -H 'Authorization: Bearer %[3]s' -d '{"email": "sumana@adventurez.example", "roles": ["guide"]}'

With the ticket from that answer she gets an account in Travel0's database:
curl -s http://%[1]s/dev/login -d '{"email": "sumana@adventurez.example", "connection": "travel0-users", "invitation": "TICKET"}'
`, addr, token, admin)
	return err
}
