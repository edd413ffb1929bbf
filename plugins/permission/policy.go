package permission

import (
	"context"
	"errors"

	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/service"
)

// Policy decides what users may do. It is called by several goroutines at once.
type Policy interface {
	// Decide decides whether the user has the permission: yes, no, or on conditions, which only a permission with a resource type can have.
	// The user is nil for somebody who isn't known, whom only a backend without authentication lets in.
	Decide(ctx context.Context, p service.Permission, user *User) (service.Decision, error)
}

// User is the user whom a policy decides about.
type User struct {
	service.User
	// Credentials are those of the request. They are the zero value where somebody else asks about the user.
	Credentials service.Credentials
}

// PolicyFunc is a function as a Policy.
type PolicyFunc func(ctx context.Context, p service.Permission, user *User) (service.Decision, error)

// Decide implements Policy.
func (f PolicyFunc) Decide(ctx context.Context, p service.Permission, user *User) (service.Decision, error) {
	return f(ctx, p, user)
}

// Policies is where a module sets the policy: Backstage's permission.policy.
type Policies interface {
	// SetPolicy sets the policy. There can be only one: a second call is an error.
	SetPolicy(Policy) error
}

// PolicyPoint is the extension point for Policies.
var PolicyPoint = extension.NewPoint[Policies]("permission.policy")

// policies implements Policies.
type policies struct{ policy Policy }

func newPolicies() *policies { return &policies{} }

// SetPolicy implements Policies.
func (p *policies) SetPolicy(policy Policy) error {
	if p.policy != nil {
		return errors.New("permission: a policy is set already; add only one module with a policy")
	}
	p.policy = policy
	return nil
}
