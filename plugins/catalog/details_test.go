package catalog_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestDetails has details of requests and answers that were seen with a Backstage 4.0 catalog beside this one, over the same entities.
func TestDetails(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.FileServer(http.Dir("testdata/fixtures")))
	t.Cleanup(server.Close)
	b := backendtest.Start(t, catalog.Plugin(), readable(server.URL), backendtest.Config(map[string]any{"catalog": map[string]any{"locations": []any{
		map[string]any{"type": "url", "target": server.URL + "/all.yaml", "rules": []any{map[string]any{"allow": kinds}}},
	}}}))
	c := settle(t, b, 23)
	const (
		checkout = `"name":"checkout-api"`
		input    = `"name":"InputError"`
	)
	for _, x := range []struct {
		name         string
		method, path string
		body         string // JSON; empty for none
		status       int
		has, hasNot  string // what the answer has and has not
	}{
		{"an empty filter among others", "GET", "/entities?filter=&filter=kind=api", "", 200, `"name":"events"`, checkout},
		{"filters as elements of a list", "GET", "/entities?filter[]=kind=api&filter[]=kind=user", "", 200, `"name":"guest"`, checkout},
		{"fields as elements of a list", "GET", "/entities?filter=kind=api&fields[]=kind", "", 200, `[{"kind":"API"},{"kind":"API"}]`, ""},
		{"fields of an element", "GET", "/entities?filter=metadata.name=checkout-api&fields=metadata.links.0.title,kind", "", 200,
			`[{"metadata":{"links":[{"title":"Dashboards"}]},"kind":"Component"}]`, ""},
		{"a place as other programs write it", "GET", "/entities?order=asc:metadata.name&fields=metadata.name&after=eyJsaW1pdCI6MS4wLCJvZmZzZXQiOjFlMH0", "", 200,
			`[{"metadata":{"name":"acme-all"}}]`, ""}, // {"limit":1.0,"offset":1e0}
		{"half a place", "GET", "/entities?after=eyJsaW1pdCI6MS41fQ", "", 400, "Malformed after cursor", ""},
		{"a place before the first", "GET", "/entities?after=eyJvZmZzZXQiOi0xfQ", "", 400, "Malformed after cursor", ""},
		{"what is no list", "GET", "/entities?limit[a]=1", "", 400, "Unknown query parameter 'limit[a]'", ""},
		{"two limits", "GET", "/entities?limit=5&limit=6", "", 400, "request/query/limit", ""},
		{"two texts", "GET", "/entities/by-query?fullTextFilterTerm=a&fullTextFilterTerm=b", "", 400, "request/query/fullTextFilterTerm", ""},
		{"an empty text", "GET", "/entities/by-query?fullTextFilterTerm=", "", 400, "Empty value found for query parameter 'fullTextFilterTerm'", ""},
		{"an encoded name", "GET", "/entities/by-name/component/default/checkout%2Dapi", "", 200, checkout, ""},
		{"an encoded slash in a name", "GET", "/entities/by-name/component/default/a%2Fb", "", 404, "No entity named 'a/b' found", ""},
		{"HEAD", "HEAD", "/entities", "", 200, "", "name"},
		{"HEAD of what isn't there", "HEAD", "/entities/by-name/component/default/nope", "", 404, "", "name"},
		{"no fields", "POST", "/entities/by-refs", `{"entityRefs":["component:default/checkout-api"],"fields":null}`, 400, "request/body/fields must be array", ""},
		{"no query", "POST", "/entities/by-refs", `{"entityRefs":["component:default/checkout-api"],"query":null}`, 400, "request/body/query must be object", ""},
		{"refs that are no list", "POST", "/entities/by-refs", `{"entityRefs":"component:default/checkout-api"}`, 400, "request/body/entityRefs must be array", ""},
		{"a list as body", "POST", "/entities/by-refs", `[]`, 400, "request/body must be object", ""},
		{"no limit", "POST", "/entities/by-query", `{"limit":null}`, 400, "request/body/limit must be", ""},
		{"a text that is none", "POST", "/entities/by-query", `{"fullTextFilter":{"term":1}}`, 400, "request/body/fullTextFilter/term must be string", ""},
		{"no query for facets", "POST", "/entity-facets", `{"facets":["kind"],"query":null}`, 400, "request/body/query must be object", ""},
		{"deleting what isn't there", "DELETE", "/entities/by-uid/nope", "", 204, "", "error"},
		{"a refresh with more", "POST", "/refresh", `{"entityRef":"component:default/numbers","more":1}`, 400, "request/body", ""},
		{"a refresh of nothing", "POST", "/refresh", `{"entityRef":null}`, 400, "request/body/entityRef must be string", ""},
		{"a location with more", "POST", "/locations?dryRun=true", `{"type":"url","target":"` + server.URL + `/extra.yaml","more":1}`, 400, input, ""},
		{"a location elsewhere", "POST", "/locations?dryRun=true", `{"type":"url","target":"http://elsewhere.example.com/x"}`, 400,
			`"Error: Unable to read url, Reading from 'http://elsewhere.example.com/x' is not allowed.`, ""},
		{"a location that may be missing", "POST", "/locations?dryRun=true", `{"type":"url","target":"` + server.URL + `/extra.yaml","presence":"optional"}`, 201,
			`"presence":"optional"`, ""},
		{"a location with white space", "POST", "/locations?dryRun=true", `{"type":"url","target":" ` + server.URL + `/extra.yaml\n"}`, 201, `"name":"extra"`, ""},
		{"moving a location that may be missing", "PUT", "/locations/x", `{"type":"url","target":"http://x/y","presence":"optional"}`, 400, "request/body", ""},
		{"analyzing what may be missing", "POST", "/analyze-location", `{"location":{"type":"url","target":"http://x/y","presence":"optional"}}`, 400, "request/body", ""},
		{"a location that is no text", "POST", "/locations", `{"type":"url","target":"http://x/\u0000"}`, 400, input, ""},
		{"a refresh of what is no text", "POST", "/refresh", `{"entityRef":"a:b/c\u0000"}`, 400, input, ""},
		{"deleting what is no text", "DELETE", "/entities/by-uid/%00", "", 400, input, ""},
		{"locations after nothing", "POST", "/locations/by-query", `{"cursor":"e30="}`, 400, input, ""},
		{"an entity with a slash at the end", "GET", "/entities/by-name/component/default/checkout-api/", "", 200, checkout, ""},
		{"validating null as annotations", "POST", "/validate-entity", `{"location":"url:http://x/y","entity":{"apiVersion":"backstage.io/v1alpha1","kind":"User",
			"metadata":{"name":"x","annotations":null},"spec":{"memberOf":[]}}}`, 200, "", "error"},
		{"validating nothing", "POST", "/validate-entity", `{"location":"url:http://x/y","entity":null}`, 400, "request/body/entity must be object", "errors"},
		{"validating text", "POST", "/validate-entity", `{"location":"url:http://x/y","entity":"x"}`, 400, "request/body/entity must be object", "errors"},
		{"validating without a name", "POST", "/validate-entity", `{"location":"url:http://x/y","entity":{"apiVersion":"backstage.io/v1alpha1","kind":"API","metadata":{}}}`,
			400, `{"errors":[{"name":"TypeError"`, ""},
		{"validating for nowhere", "POST", "/validate-entity", `{"location":"x","entity":{"apiVersion":"a/v1","kind":"API","metadata":{"name":"x"}}}`, 400,
			`{"errors":[{"name":"TypeError"`, ""},
		{"validating a Location of something invalid", "POST", "/validate-entity", `{"location":"url:` + server.URL + `/x.yaml","entity":
			{"apiVersion":"backstage.io/v1alpha1","kind":"Location","metadata":{"name":"x"},"spec":{"target":"./bad.yaml"}}}`, 200, "", "error"},
		{"a Location of something invalid", "GET", "/entities/by-name/location/default/acme-all", "", 200, `"name":"acme-all"`, `"status"`},
		{"analyzing a repository", "POST", "/analyze-location", `{"location":{"type":"url","target":"https://github.com/acme/repo"}}`, 200,
			`{"annotations":{"github.com/project-slug":"acme/repo"},"name":"repo"}`, ""},
		{"analyzing a file", "POST", "/analyze-location", `{"location":{"type":"url","target":"https://gitlab.com/a/b/c/-/blob/main/catalog-info.yaml"}}`, 200,
			`{"annotations":{"gitlab.com/project-slug":"a/b/c"},"name":"c"}`, ""},
		{"analyzing what is on Azure", "POST", "/analyze-location", `{"location":{"type":"url","target":"https://dev.azure.com/org/project/_git/repo"}}`, 200,
			`{"annotations":{"dev.azure.com/project-slug":"project/repo"},"name":"repo"}`, ""},
		{"analyzing what is on no forge", "POST", "/analyze-location", `{"location":{"type":"url","target":"http://x.example.com/a/b/c"}}`, 200, `"metadata":{"name":"c"}`, ""},
	} {
		var body any
		if x.body != "" {
			body = strings.NewReader(x.body)
		}
		res := c.Do(x.method, "/api/catalog"+x.path, body)
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != x.status || !strings.Contains(string(text), x.has) || x.hasNot != "" && strings.Contains(string(text), x.hasNot) {
			t.Errorf("%s: status %d, want %d with %q and without %q:\n%s", x.name, res.StatusCode, x.status, x.has, x.hasNot, text)
		}
	}
	for path, want := range map[string]string{
		"/entities?filter=kind=component,spec.type&limit=1&offset=1&order=asc:metadata.name": "</entities?filter=kind%3Dcomponent%2Cspec.type&limit=1&order=asc%3Ametadata.name&after=",
		"/entities?after=eyJsaW1pdCI6MX0=&fields=metadata.name,a*~+b":                        "</entities?after=eyJsaW1pdCI6MSwib2Zmc2V0IjoxfQ%3D%3D&fields=metadata.name%2Ca*%7E+b>",
	} {
		if link := c.Get("/api/catalog" + path).Header.Get("Link"); !strings.HasPrefix(link, want) {
			t.Errorf("%s: the link is %s, want %s…", path, link, want)
		}
	}
}
