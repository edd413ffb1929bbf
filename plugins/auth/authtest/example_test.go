package authtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/authtest"
)

// An authenticator that asks the company's directory who has a badge.
type badges struct{ env auth.Environment }

func (b badges) Authenticate(r *http.Request) (auth.Login, error) {
	res, err := b.env.Client.Get("https://directory.example.com/badges/" + r.Header.Get("X-Badge"))
	if err != nil {
		return auth.Login{}, err
	}
	defer res.Body.Close()
	return auth.Login{Username: res.Header.Get("X-Name")}, nil
}

func ExampleEnvironment() {
	directory := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Name", "owner-of"+r.URL.Path[len("/badges"):]+"@"+r.Host)
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Badge", "4711")
	login, err := badges{authtest.Environment(nil, directory)}.Authenticate(r)
	fmt.Println(login.Username, err)
	// Output: owner-of/4711@directory.example.com <nil>
}
