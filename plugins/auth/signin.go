package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// SignInResolver tells which user of the portal has signed in. With several, the next one is asked after a service.NotFoundError; any other
// error refuses the user. Safe for concurrent use.
type SignInResolver func(ctx context.Context, login Login, users Users) (Identity, error)

// Identity is a user of the portal.
type Identity struct {
	// UserEntityRef is the entity ref of the user ("user:default/jane"). There need not be such an entity.
	UserEntityRef string
	// OwnershipEntityRefs are the refs by which the user owns things. Nil is that of the user alone.
	OwnershipEntityRefs []string
	// Claims are further claims of the user's token.
	Claims map[string]any
}

// ResolverFactory makes a sign-in resolver that the configuration names, when the plugin starts.
type ResolverFactory func(ResolverOptions) (SignInResolver, error)

// ResolverOptions is what stands beside the name of a resolver in the configuration.
type ResolverOptions struct {
	// AllowedDomains are the domains that emails must have, by resolvers that look at emails. Empty: any.
	AllowedDomains []string
	// AllowWithoutUser lets users in that the catalog doesn't have (dangerouslyAllowSignInWithoutUserInCatalog): as user:default/<name>,
	// where the name is what the resolver looks for.
	AllowWithoutUser bool
	// All are all options.
	All map[string]any
}

// EmailMatchingUserEntityProfileEmail makes a resolver that finds the user by spec.profile.email: with the email of the profile, or else
// with that email without the part from a plus sign on.
func EmailMatchingUserEntityProfileEmail(o ResolverOptions) (SignInResolver, error) {
	return func(ctx context.Context, login Login, users Users) (Identity, error) {
		local, domain, err := o.email(login)
		if err != nil {
			return Identity{}, err
		}
		identity, err := users.SignIn(ctx, UserQuery{Fields: map[string]string{profileEmail: local + "@" + domain}})
		if !isNotFound(err) {
			return identity, err
		}
		plain, _, _ := strings.Cut(local, "+")
		if plain == "" {
			return identity, err
		}
		return o.signIn(ctx, users, UserQuery{Fields: map[string]string{profileEmail: plain + "@" + domain}}, plain+"@"+domain)
	}, nil
}

const profileEmail = "spec.profile.email"

// EmailLocalPartMatchingUserEntityName makes a resolver that finds the user by the part of the email before the @, which is its name in the
// namespace default.
func EmailLocalPartMatchingUserEntityName(o ResolverOptions) (SignInResolver, error) {
	return func(ctx context.Context, login Login, users Users) (Identity, error) {
		local, _, err := o.email(login)
		if err != nil {
			return Identity{}, err
		}
		return o.signIn(ctx, users, UserQuery{Ref: userNamed(local)}, local)
	}, nil
}

// UsernameMatchingUserEntityName makes a resolver that finds the user by the username at the provider, which is its name in the namespace
// default.
func UsernameMatchingUserEntityName(o ResolverOptions) (SignInResolver, error) {
	return MatchingUserEntityName(func(l Login) string { return l.Username })(o)
}

// MatchingUserEntityName makes a factory of resolvers that find the user by a part of the login, which is its name in the namespace default.
func MatchingUserEntityName(part func(Login) string) ResolverFactory {
	return func(o ResolverOptions) (SignInResolver, error) {
		return func(ctx context.Context, login Login, users Users) (Identity, error) {
			name := part(login)
			if name == "" {
				return Identity{}, errors.New("auth: the provider doesn't tell the name of the user that the sign-in resolver looks for")
			}
			return o.signIn(ctx, users, UserQuery{Ref: userNamed(name)}, name)
		}, nil
	}
}

// MatchingUserEntityAnnotation makes a factory of resolvers that find the user by an annotation with a part of the login, which is compared
// exactly.
func MatchingUserEntityAnnotation(annotation string, part func(Login) string) ResolverFactory {
	return func(o ResolverOptions) (SignInResolver, error) {
		return func(ctx context.Context, login Login, users Users) (Identity, error) {
			value := part(login)
			if value == "" {
				return Identity{}, fmt.Errorf("auth: the provider doesn't tell what the sign-in resolver looks for in the annotation %s", annotation)
			}
			return o.signIn(ctx, users, UserQuery{Annotations: map[string]string{annotation: value}}, value)
		}, nil
	}
}

// signIn signs in a user of the catalog, or of that name if that is allowed.
func (o ResolverOptions) signIn(ctx context.Context, users Users, q UserQuery, name string) (Identity, error) {
	identity, err := users.SignIn(ctx, q)
	if isNotFound(err) && o.AllowWithoutUser {
		return Identity{UserEntityRef: userNamed(name).String()}, nil
	}
	return identity, err
}

func userNamed(name string) catalogmodel.Ref {
	return catalogmodel.Ref{Kind: "user", Namespace: catalogmodel.DefaultNamespace, Name: name}
}

// email is the email of the profile in its two parts.
func (o ResolverOptions) email(login Login) (local, domain string, err error) {
	if login.Profile.Email == "" {
		return "", "", service.NotAllowedError.Errorf("Login failed, user profile does not contain an email")
	}
	at := strings.LastIndexByte(login.Profile.Email, '@')
	if at <= 0 {
		return "", "", service.NotAllowedError.Errorf("Login failed, the email of the user profile is not one")
	}
	local, domain = login.Profile.Email[:at], login.Profile.Email[at+1:]
	if len(o.AllowedDomains) > 0 && !slices.ContainsFunc(o.AllowedDomains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return "", "", service.NotAllowedError.Errorf("Sign-in user email is not from an allowed domain")
	}
	return local, domain, nil
}

func isNotFound(err error) bool { return errors.Is(err, service.NotFoundError) }

// signInSettings is the key signIn of a provider.
type signInSettings struct {
	Resolvers []map[string]any
}

// signInResolvers makes the resolvers that the configuration names for a provider, or else the one that it has in code.
func (p *providers) signInResolvers(env Environment, own map[string]ResolverFactory, inCode SignInResolver) ([]SignInResolver, error) {
	var s signInSettings
	if err := env.Config.Decode(env.Key+".signIn", &s); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if len(s.Resolvers) == 0 && inCode != nil {
		return []SignInResolver{inCode}, nil
	}
	var all []SignInResolver
	for i, options := range s.Resolvers {
		key := fmt.Sprintf("%s.signIn.resolvers[%d]", env.Key, i)
		name, _ := options["resolver"].(string)
		factory := own[name]
		if factory == nil {
			factory = p.resolvers[name]
		}
		if factory == nil {
			return nil, fmt.Errorf("auth: configuration key %s.resolver: Sign-in resolver '%s' is not available; there are %s", key, name,
				strings.Join(p.resolverNames(own), ", "))
		}
		o, err := resolverOptions(options)
		if err != nil {
			return nil, fmt.Errorf("auth: configuration key %s: %w", key, err)
		}
		resolver, err := factory(o)
		if err != nil {
			return nil, fmt.Errorf("auth: configuration key %s: %w", key, err)
		}
		all = append(all, resolver)
	}
	return all, nil
}

// requiredResolvers is signInResolvers for a provider that is no good without one.
func (p *providers) requiredResolvers(env Environment, own map[string]ResolverFactory, inCode SignInResolver) ([]SignInResolver, error) {
	all, err := p.signInResolvers(env, own, inCode)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("auth: configuration key %s.signIn.resolvers is required: it tells which users of the portal may sign in with the provider; there are %s",
			env.Key, p.resolverNames(own))
	}
	return all, err
}

func (p *providers) resolverNames(own map[string]ResolverFactory) []string {
	var names []string
	for name := range own {
		names = append(names, name)
	}
	for name := range p.resolvers {
		if own[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

const (
	allowedDomainsKey   = "allowedDomains"
	allowWithoutUserKey = "dangerouslyAllowSignInWithoutUserInCatalog"
)

func resolverOptions(all map[string]any) (ResolverOptions, error) {
	o := ResolverOptions{All: all}
	if value, ok := all[allowWithoutUserKey]; ok {
		if o.AllowWithoutUser, ok = value.(bool); !ok && value != "false" {
			if value != "true" {
				return o, fmt.Errorf("%s is neither true nor false", allowWithoutUserKey)
			}
			o.AllowWithoutUser = true
		}
	}
	if value, ok := all[allowedDomainsKey]; ok {
		list, ok := value.([]any)
		for _, domain := range list {
			name, isText := domain.(string)
			if ok = ok && isText; ok {
				o.AllowedDomains = append(o.AllowedDomains, name)
			}
		}
		if !ok || len(list) == 0 {
			return o, fmt.Errorf("%s must be a list of domains; leave it out to allow all", allowedDomainsKey)
		}
	}
	return o, nil
}
