// Package synthetic makes a catalog of any size that is always the same, for benchmarks: of each 100 entities 70 Components with 6
// relations each, 10 APIs, 5 Resources, 5 Systems, 2 Domains, 4 Groups and 4 Users. Backstage was measured with the same entities.
package synthetic

import (
	"fmt"

	"github.com/portico-dev/portico/catalogmodel"
)

const version = "backstage.io/v1alpha1"

type object = map[string]any

// Entities makes n entities.
func Entities(n int) ([]catalogmodel.Entity, error) {
	share := func(percent int) int { return max(1, n*percent/100) }
	systems, domains, groups, apis, resources, users := share(5), share(2), share(4), share(10), share(5), share(4)
	components := n - systems - domains - groups - apis - resources - users
	group := func(i int) string { return fmt.Sprint("group-", i%groups) }
	system := func(i int) string { return fmt.Sprint("system-", i%systems) }
	api := func(i int) string { return fmt.Sprint("api-", i%apis) }

	all := make([]catalogmodel.Entity, 0, n)
	var failure error
	add := func(count int, kind, prefix string, spec func(i int, name string) object) {
		for i := range count {
			name := fmt.Sprint(prefix, "-", i)
			e, err := catalogmodel.EntityOf(object{"apiVersion": version, "kind": kind, "metadata": metadata(name, i), "spec": spec(i, name)})
			if err != nil {
				failure = err
				return
			}
			all = append(all, e)
		}
	}
	add(domains, "Domain", "domain", func(i int, _ string) object { return object{"owner": "group:default/" + group(i)} })
	add(systems, "System", "system", func(i int, _ string) object {
		return object{"owner": "group:default/" + group(i), "domain": fmt.Sprint("domain-", i%domains)}
	})
	add(groups, "Group", "group", func(i int, _ string) object {
		spec := object{"type": "team", "profile": object{"displayName": fmt.Sprint("Group ", i)}, "children": []any{}}
		if i > 0 {
			spec["parent"] = fmt.Sprint("group-", (i-1)/5)
		}
		return spec
	})
	add(users, "User", "user", func(i int, name string) object {
		return object{"profile": object{"displayName": fmt.Sprint("User ", i), "email": name + "@example.com"},
			"memberOf": []any{group(i), group(i*7 + 1)}}
	})
	add(apis, "API", "api", func(i int, name string) object {
		return object{"type": []string{"openapi", "grpc", "asyncapi"}[i%3], "lifecycle": "production", "owner": group(i), "system": system(i),
			"definition": "openapi: 3.0.0\ninfo:\n  title: " + name + "\n  version: 1.0.0\npaths: {}\n"}
	})
	add(resources, "Resource", "resource", func(i int, _ string) object {
		return object{"type": []string{"database", "s3-bucket", "topic"}[i%3], "owner": group(i), "system": system(i)}
	})
	add(components, "Component", "component", func(i int, _ string) object {
		return object{"type": []string{"service", "website", "library"}[i%3],
			"lifecycle": []string{"production", "experimental", "deprecated"}[i%3], "owner": group(i), "system": system(i),
			"providesApis": []any{api(i)}, "consumesApis": []any{api(i*3 + 1)},
			"dependsOn": []any{fmt.Sprint("resource:resource-", i%resources), fmt.Sprint("component:component-", (i*7+1)%components)}}
	})
	return all, failure
}

func metadata(name string, i int) object {
	location := "url:https://git.example.com/acme/" + name + "/catalog-info.yaml"
	return object{
		"name":        name,
		"description": fmt.Sprintf("Synthetic entity number %d, which exists to be ingested and queried", i),
		"annotations": object{
			catalogmodel.AnnotationManagedByLocation: location, catalogmodel.AnnotationManagedByOriginLocation: location,
			catalogmodel.AnnotationGitHubProjectSlug: "acme/" + name, catalogmodel.AnnotationTechDocsRef: "dir:.",
		},
		"labels": object{"tier": fmt.Sprint(i % 4), "region": []string{"eu", "us", "ap"}[i%3]},
		"tags":   []any{fmt.Sprint("tag-", i%20), fmt.Sprint("lang-", i%7)},
		"links":  []any{object{"url": "https://grafana.example.com/d/" + name, "title": "Dashboard", "icon": "dashboard"}},
	}
}
