package rbac

import (
	"context"
	"fmt"
	"testing"

	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/service"
)

// manyRoles are 100 roles with 10 rules each. Three rules of each role are about one permission, on three conditions that all roles share, and
// two about another one, on conditions of each role's own.
func manyRoles() (settings, *declared) {
	d := newDeclared()
	d.owners["thing"] = "things"
	for i := range 100 {
		p := service.Permission{Name: fmt.Sprintf("things.thing.do%d", i), ResourceType: "thing"}
		d.permissions[p.Name] = p
	}
	s := settings{Roles: map[string]role{}}
	for i := range 100 {
		r := role{Members: texts{fmt.Sprintf("group:default/g%d", i), fmt.Sprintf("user:default/u%d", i)}}
		for j := range 10 {
			one := rule{Allow: texts{fmt.Sprintf("things.thing.do%d", (i+j*7)%100)}}
			owned := func(n int) map[string]any {
				return map[string]any{"rule": "IS_OWNER", "params": map[string]any{"claims": []any{"$ownerRefs"}, "n": n}}
			}
			if j < 3 {
				one = rule{Allow: texts{"things.thing.do0"}, Conditions: owned(j)}
			} else if j < 5 {
				one = rule{Allow: texts{"things.thing.do1"}, Conditions: owned(i*10 + j)}
			}
			r.Permissions = append(r.Permissions, one)
		}
		s.Roles[fmt.Sprintf("role%d", i)] = r
	}
	return s, d
}

// BenchmarkDecide has a policy of 100 roles and 1,000 rules decide about a user with five of them. The floor is the look-up of the user and of
// their groups.
func BenchmarkDecide(b *testing.B) {
	p, err := compile(manyRoles())
	if err != nil {
		b.Fatal(err)
	}
	user := &permission.User{User: service.User{EntityRef: "user:default/u7", OwnershipEntityRefs: []string{"user:default/u7"}}}
	for i := range 20 {
		user.OwnershipEntityRefs = append(user.OwnershipEntityRefs, fmt.Sprintf("group:default/g%d", i*25))
	}
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			p.rolesOf(user, nil)
		}
	})
	for name, about := range map[string]string{
		"unconditional": "things.thing.do99", "on 3 conditions": "things.thing.do0", "on 10 conditions": "things.thing.do1",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Decide(context.Background(), p.declared.permissions[about], user); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
