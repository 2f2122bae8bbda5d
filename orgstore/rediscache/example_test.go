package rediscache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/rediscache"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

func Example() {
	ctx := context.Background()
	server := miniredis.NewMiniRedis() // stands for a Redis of yours
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer server.Close()

	engine, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	rdb := redis.NewClient(rediscache.Options(server.Addr()))
	defer rdb.Close()
	shared, err := rediscache.New(rdb, rediscache.Config{Prefix: "acme", Timeout: time.Second})
	if err != nil {
		panic(err)
	}
	members, err := cached.New(engine, cached.Config{Shared: shared})
	if err != nil {
		panic(err)
	}
	defer members.Close() // closes shared

	access, err := members.Resolve(ctx, orgstore.Query{Org: "org_granite", Principal: "hiroko"})
	fmt.Println(access.Standing, err)
	// Output: no_organization <nil>
}
