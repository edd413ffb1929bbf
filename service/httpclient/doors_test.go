package httpclient_test

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestCredentials has doors that are closed stay closed, and callers be taken for the same.
func TestCredentials(t *testing.T) {
	t.Parallel()
	both := waysTo(t, who("target"))
	for name, test := range map[string]struct {
		header, value string
		status        int
	}{
		"none":             {"X-Nothing", "x", http.StatusUnauthorized},
		"a user":           {"Authorization", `Bearer mock-user-token:{"sub":"user:default/guest"}`, http.StatusOK},
		"a plugin":         {"Authorization", `Bearer mock-service-token:{"sub":"plugin:caller","target":"target"}`, http.StatusOK},
		"a wrong token":    {"Authorization", "Bearer mock-invalid-user-token", http.StatusUnauthorized},
		"for another":      {"Authorization", `Bearer mock-service-token:{"sub":"plugin:caller","target":"other"}`, http.StatusUnauthorized},
		"two of them":      {"Authorization", "Bearer a\tb", http.StatusUnauthorized},
		"a user's cookie":  {"Cookie", `backstage-auth=mock-limited-user-token:{"sub":"user:default/guest"}`, http.StatusUnauthorized},
		"an inner address": {"X-Forwarded-For", "127.0.0.1", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2]seen
			for i, w := range both {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/who", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set(test.header, test.value)
				got[i] = look(w.client.Do(req))
			}
			if !reflect.DeepEqual(got[0], got[1]) || !strings.HasPrefix(got[0].Status, fmt.Sprint(test.status)) {
				t.Errorf("\nsocket %.500s\nmemory %.500s", fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", got[1]))
			}
		})
	}
}

// TestUpgrade has a connection become a WebSocket, for which even requests that could stay in memory get a real one.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	each(t, routes{"/socket": func(w http.ResponseWriter, r *http.Request) error {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return err
		}
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return err
		}
		if err := conn.Write(r.Context(), kind, bytes.ToUpper(message)); err != nil {
			return err
		}
		return conn.Close(websocket.StatusNormalClosure, "")
	}}, func(t *testing.T, w way) {
		conn, _, err := websocket.Dial(t.Context(), w.base+"/socket", &websocket.DialOptions{HTTPClient: w.client})
		if err != nil {
			t.Fatal(err)
		}

		defer conn.CloseNow()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, answer, err := conn.Read(t.Context()); err != nil || string(answer) != "HELLO" {
			t.Errorf("%s, %v", answer, err)
		}
	})
}
