// Package conditions asks plugins which of their resources meet conditions.
package conditions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/portico-dev/portico/service"
)

const (
	applyPath       = "/.well-known/backstage/permissions/apply-conditions"
	timeout         = 30 * time.Second
	maxAnswerLength = 64 << 20
)

// Client asks plugins. It is safe for concurrent use.
type Client struct {
	discovery service.Discovery
	http      *http.Client
}

// NewClient returns a client that makes its requests with the HTTP client of the permission plugin.
func NewClient(discovery service.Discovery, client *http.Client) *Client {
	return &Client{discovery, client}
}

// Check asks whether resources of one type meet conditions.
type Check struct {
	ResourceType string
	Conditions   *service.Criteria
	Refs         []string
}

type item struct {
	ID           string            `json:"id"`
	ResourceRef  []string          `json:"resourceRef"`
	ResourceType string            `json:"resourceType"`
	Conditions   *service.Criteria `json:"conditions"`
}

// Apply asks the plugin, on behalf of somebody, and returns for each check and each ref of it whether the resource meets the conditions.
func (c *Client) Apply(ctx context.Context, pluginID string, who service.Credentials, checks []Check) ([][]bool, error) {
	ctx, cancel := context.WithTimeout(service.OnBehalfOf(ctx, who), timeout)
	defer cancel()
	met, err := c.apply(ctx, pluginID, checks)
	if err != nil {
		return nil, fmt.Errorf("permission: having plugin %s apply conditions: %w", pluginID, err)
	}
	return met, nil
}

func (c *Client) apply(ctx context.Context, pluginID string, checks []Check) (met [][]bool, err error) {
	base, err := c.discovery.BaseURL(ctx, pluginID)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(checks))
	for i, one := range checks {
		items[i] = item{strconv.Itoa(i), one.Refs, one.ResourceType, one.Conditions}
	}
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+applyPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerLength))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s: %.500s", res.Status, content)
	}
	return decode(content, checks)
}

// decode reads the answer to the checks. What is neither yes nor no must not pass for either.
func decode(content []byte, checks []Check) ([][]bool, error) {
	var answer struct {
		Items []struct {
			ID     string                    `json:"id"`
			Result []service.AuthorizeResult `json:"result"`
		} `json:"items"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return nil, fmt.Errorf("its answer can't be read: %w", err)
	}
	met := make([][]bool, len(checks))
	for _, one := range answer.Items {
		i, err := strconv.Atoi(one.ID)
		if err != nil || i < 0 || i >= len(checks) || met[i] != nil || len(one.Result) != len(checks[i].Refs) {
			return nil, errors.New("its answer does not match the request")
		}
		met[i] = make([]bool, len(one.Result))
		for j, result := range one.Result {
			if result != service.ResultAllow && result != service.ResultDeny {
				return nil, fmt.Errorf("it answered %q", result)
			}
			met[i][j] = result == service.ResultAllow
		}
	}
	if len(answer.Items) != len(checks) {
		return nil, errors.New("its answer does not match the request")
	}
	return met, nil
}
