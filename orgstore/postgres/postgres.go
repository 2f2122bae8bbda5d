package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/internal/migrations"
)

// oldest is the oldest version of PostgreSQL with all that the engine needs.
const oldest = 13

// Open opens the database at url, which begins with postgres://, and brings the schema up to date. The database and the
// schema that search_path names must be there.
//
// ctx bounds opening only. The caller closes the Engine. Errors never hold the password of url.
func Open(ctx context.Context, url string, cfg orgstore.Config) (*orgstore.Engine, error) {
	e, err := open(ctx, url, cfg, dialect{gated})
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return e, nil
}

func open(ctx context.Context, rawURL string, cfg orgstore.Config, d orgstore.Dialect) (*orgstore.Engine, error) {
	config, err := parse(rawURL)
	if err := errors.Join(cfg.Validate(), err); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, explain(config, err)
	}
	if err := prepare(ctx, pool); err != nil {
		pool.Close()
		return nil, explain(config, err)
	}
	lockTimeout := cmp.Or(cfg.LockTimeout, 5*time.Second)
	write := view(pool, max(1, int(config.MaxConns)/2), lockTimeout)
	feed := sql.OpenDB(single{stdlib.GetConnector(*config.ConnConfig)})
	feed.SetMaxOpenConns(1)
	e, err := orgstore.New(write, view(pool, 0, lockTimeout), feed, d, cfg)
	if err != nil {
		return nil, err
	}
	// Gives a new database its epoch, and one that was restored into another cluster another one.
	if _, err := e.Poll(ctx, ""); err != nil {
		return nil, explain(config, errors.Join(err, e.Close()))
	}
	return e, nil
}

// parse reads the URL. Nothing of what is wrong with it is repeated that could be a part of the password.
func parse(rawURL string) (*pgxpool.Config, error) {
	const form = "postgres://user:password@host:5432/database?search_path=schema"
	if !strings.HasPrefix(rawURL, "postgres://") && !strings.HasPrefix(rawURL, "postgresql://") {
		return nil, errors.New("the URL must look like " + form)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the URL is malformed; special characters in it must be percent-encoded; it must look like " + form)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the parameters of the URL are malformed; special characters in them must be percent-encoded")
	}
	switch query.Get("target_session_attrs") {
	case "", "any", "primary", "read-write":
	default:
		return nil, errors.New("the URL's target_session_attrs must be primary or be left out: a standby may lack the newest changes")
	}
	for name, value := range map[string]string{
		"pool_max_conns":   strconv.Itoa(max(8, 4*runtime.GOMAXPROCS(0))),
		"connect_timeout":  "5",
		"application_name": "orgauthz",
	} {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		// The text of the error repeats the URL, with a password that is hidden as well as it can be found.
		text := err.Error()
		if _, reason, ok := strings.Cut(text[strings.LastIndex(text, "`")+1:], ": "); ok && !leaks(u, reason) {
			return nil, errors.New("the URL: " + reason)
		}
		return nil, errors.New("the URL has a parameter that cannot be read; it must look like " + form)
	}
	if config.MaxConns < 2 {
		return nil, errors.New("the URL's pool_max_conns must be at least 2: one connection to read while another one writes")
	}
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	return config, nil
}

// leaks reports whether text holds the password of u.
func leaks(u *url.URL, text string) bool {
	password, _ := u.User.Password()
	return password != "" && strings.Contains(text, password) || u.Query().Has("password")
}

// prepare checks the server and brings the schema up to date.
func prepare(ctx context.Context, pool *pgxpool.Pool) error {
	var version int
	var product, path string
	var schema sql.NullString
	var mayCreate, there bool
	err := pool.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, version(), current_setting('search_path'), current_schema(),
			COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false), to_regclass('orgauthz_schema') IS NOT NULL`).
		Scan(&version, &product, &path, &schema, &mayCreate, &there)
	if err != nil {
		return err
	}
	if err := errors.Join(checkProduct(product), checkVersion(version)); err != nil {
		return err
	}
	switch {
	case !schema.Valid:
		return fmt.Errorf("none of the schemas in search_path (%s) exists: create one, or name another in the URL's search_path", path)
	case !mayCreate && !there:
		return fmt.Errorf("the user may not create tables in the schema %s: "+missingRight, schema.String)
	}
	db := stdlib.OpenDBFromPool(pool)
	return errors.Join(migrations.Up(ctx, db, goose.DialectPostgres), db.Close())
}

// checkProduct refuses what speaks PostgreSQL's protocol without keeping its promises, by what it says of itself.
func checkProduct(version string) error {
	if !strings.HasPrefix(version, "PostgreSQL ") || strings.Contains(version, "-YB-") {
		product, _, _ := strings.Cut(version, ",")
		return fmt.Errorf("the server is no PostgreSQL (%.60q): the engine relies on its locks and transaction ids", product)
	}
	return nil
}

func checkVersion(number int) error {
	if number < oldest*10_000 {
		return fmt.Errorf("the server is PostgreSQL %d; version %d or a later one is needed", number/10_000, oldest)
	}
	return nil
}

const missingRight = "grant the right to create tables, or open the database once as a user who has it"

// explain says what to do about errors of opening.
func explain(config *pgxpool.Config, err error) error {
	c := config.ConnConfig
	hint := ""
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case invalidPassword, invalidAuthorization:
			hint = "the server does not let this user in, check user and password: "
		case invalidCatalogName:
			hint = "there is no such database, create it first: "
		case insufficientPrivilege:
			hint = missingRight + ": "
		case tooManyConnections:
			hint = "the server has no connection left, make pool_max_conns smaller or its max_connections larger: "
		case cannotConnectNow:
			hint = "the server is starting or stopping: "
		}
	} else if _, ok := errors.AsType[*net.OpError](err); ok {
		hint = "the server cannot be reached, check host and port: "
	}
	return fmt.Errorf("open database %q of user %q at %s: %s%w", c.Database, c.User,
		net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), hint, err)
}
