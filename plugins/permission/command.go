package permission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// commands are those of the plugin on the command line of the binary.
type commands struct {
	Explain explainCommand `cmd:"" help:"Tell who has a permission, or why somebody has it or not, with the lines of the configuration. The backend must be running with the same configuration."`
}

// explainCommand asks the running backend.
type explainCommand struct {
	Permission string `arg:"" help:"The name of the permission, such as catalog.entity.delete."`
	Resource   string `arg:"" optional:"" help:"The ref of the resource that it is about, such as component:default/shop."`
	User       string `placeholder:"REF" help:"Tell of this user only, such as user:default/jane."`
	JSON       bool   `name:"json" help:"Write the answer as JSON."`
}

const maxExplanationLength = 8 << 20

// Run is the command.
func (e *explainCommand) Run(ctx context.Context, out plugin.Output, discovery service.Discovery, client *http.Client) (err error) {
	base, err := discovery.BaseURL(ctx, "permission")
	if err != nil {
		return err
	}
	query := url.Values{"permission": {e.Permission}}
	if e.Resource != "" {
		query.Set("resourceRef", e.Resource)
	}
	if e.User != "" {
		query.Set("user", e.User)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/explain?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the backend at %s, which must be running: %w", base, err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxExplanationLength))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return refusal(base, res, content)
	}
	if e.JSON {
		_, err := fmt.Fprintf(out, "%s\n", strings.TrimSpace(string(content)))
		return err
	}
	var answer explained
	if err := json.Unmarshal(content, &answer); err != nil {
		return fmt.Errorf("the answer of the backend at %s can't be read: %w", base, err)
	}
	return answer.write(out)
}

// refusal is what the backend says is wrong.
func refusal(base string, res *http.Response, content []byte) error {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(content, &answer); err != nil || answer.Error.Message == "" {
		return fmt.Errorf("the backend at %s answered %s", base, res.Status)
	}
	if res.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("the backend at %s doesn't recognize this program: it must use the same database, and not one in memory (%s)", base,
			answer.Error.Message)
	}
	return errors.New(answer.Error.Message)
}

// write writes the answer for people.
func (e explained) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(e.Permission.Name)
	if e.ResourceRef != "" {
		b.WriteString(" on " + e.ResourceRef)
	}
	if e.User != nil {
		fmt.Fprintf(&b, ": %s for %s", e.Result, e.User.EntityRef)
		if others := e.User.OwnershipEntityRefs[1:]; len(others) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(others, ", "))
		}
	}
	b.WriteString("\n")
	if len(e.Reasons) == 0 {
		b.WriteString("  no role is about it, so it is denied\n")
	}
	for _, r := range e.Reasons {
		verb := "allowed"
		if r.Effect == service.ResultDeny {
			verb = "denied"
		}
		fmt.Fprintf(&b, "\n  %s by role %s, which %s\n    %s (%s)\n", verb, r.Role, has(r.Members), r.Source, r.Key)
		if r.Conditions == nil {
			continue
		}
		conditions, err := json.Marshal(r.Conditions)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "    if %s", conditions)
		if r.Met != nil {
			b.WriteString(map[bool]string{true: ", which is so", false: ", which is not so"}[*r.Met])
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func has(members []string) string {
	if len(members) == 1 && members[0] == "*" {
		return "everyone has"
	}
	return strings.Join(members, ", ") + " has"
}
