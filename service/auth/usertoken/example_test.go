package usertoken_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/portico-dev/portico/service/auth/usertoken"
)

func Example() {
	key, err := usertoken.GenerateKey("2026-01")
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	token, err := usertoken.Issue(key, usertoken.Claims{
		Issuer: "https://portal.example.com/api/auth", Subject: "user:default/guest", IssuedAt: now, Expiry: now.Add(time.Hour),
	})
	if err != nil {
		panic(err)
	}
	limited, expiry, err := usertoken.Limit(token)
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.Count(limited, "."), len(limited) < len(token), expiry.UTC())
	// Output: 2 true 2026-01-01 01:00:00 +0000 UTC
}
