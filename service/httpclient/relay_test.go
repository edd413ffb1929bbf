package httpclient_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// relay answers what another plugin answers, asked on behalf of who asks this one.
func relay(g *echo.Group, client *http.Client, discovery service.Discovery, auth service.HTTPAuth) {
	g.GET("/relay", func(c echo.Context) error {
		user, err := auth.Credentials(c.Request(), service.AllowUser)
		if err != nil {
			return err
		}
		ctx := service.OnBehalfOf(c.Request().Context(), user)
		base, err := discovery.BaseURL(ctx, "target")
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/who", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return c.Stream(res.StatusCode, res.Header.Get("Content-Type"), res.Body)
	})
}

func TestRelay(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, who("target"), plugin.New("relay", plugin.Init(relay)))
	body, err := io.ReadAll(b.As(t, guest).Get("/api/relay/relay").Body)
	if want := `{"kind":"user","who":"user:default/guest by plugin:relay"}` + "\n"; err != nil || string(body) != want {
		t.Errorf("%s, %v", body, err)
	}
}
