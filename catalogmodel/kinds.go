package catalogmodel

import (
	"embed"
	"encoding/json"
)

//go:embed schemas
var schemaFiles embed.FS

func schemaFile(name string) string {
	data, err := schemaFiles.ReadFile("schemas/" + name + ".json")
	if err != nil {
		panic(err) // a name in this package is misspelt
	}
	return string(data)
}

var coreVersions = []string{"backstage.io/v1alpha1", "backstage.io/v1beta1"}

var (
	ownerField  = RelationField{Path: "spec.owner", Type: RelationOwnedBy, DefaultKind: "Group"}
	systemField = RelationField{Path: "spec.system", Type: RelationPartOf, DefaultKind: "System"}
	dependsOn   = RelationField{Path: "spec.dependsOn", Type: RelationDependsOn}
	dependedOn  = RelationField{Path: "spec.dependencyOf", Type: RelationDependencyOf}
)

// The kinds that every [Registry] knows. They are constants in all but name.
var (
	// Component is a piece of software, mostly something that is built and deployed by itself.
	Component = NewKind[ComponentSpec](Definition{
		Kind: "Component", APIVersions: coreVersions, Schema: schemaFile("component"),
		Relations: []RelationField{
			ownerField,
			{Path: "spec.subcomponentOf", Type: RelationPartOf, DefaultKind: "Component"},
			{Path: "spec.providesApis", Type: RelationProvidesAPI, DefaultKind: "API"},
			{Path: "spec.consumesApis", Type: RelationConsumesAPI, DefaultKind: "API"},
			dependsOn, dependedOn, systemField,
		},
	})

	// API is an interface that components provide and consume.
	API = NewKind[APISpec](Definition{
		Kind: "API", APIVersions: coreVersions, Schema: schemaFile("api"),
		Relations: []RelationField{ownerField, systemField},
	})

	// MCPServer is an API of type mcp-server: a server that speaks the Model Context Protocol.
	MCPServer = NewKind[MCPServerSpec](Definition{
		Kind: "API", SpecType: "mcp-server", APIVersions: coreVersions, Schema: schemaFile("api-mcp-server"),
		Relations: []RelationField{ownerField, systemField},
	})

	// Resource is infrastructure that software needs to run, such as a database or a bucket.
	Resource = NewKind[ResourceSpec](Definition{
		Kind: "Resource", APIVersions: coreVersions, Schema: schemaFile("resource"),
		Relations: []RelationField{ownerField, dependsOn, dependedOn, systemField},
	})

	// System is a collection of components and resources that together serve a purpose.
	System = NewKind[SystemSpec](Definition{
		Kind: "System", APIVersions: coreVersions, Schema: schemaFile("system"),
		Relations: []RelationField{
			ownerField,
			{Path: "spec.domain", Type: RelationPartOf, DefaultKind: "Domain"},
		},
	})

	// Domain is a part of the business: systems that share terms, models and purpose.
	Domain = NewKind[DomainSpec](Definition{
		Kind: "Domain", APIVersions: coreVersions, Schema: schemaFile("domain"),
		Relations: []RelationField{
			ownerField,
			{Path: "spec.subdomainOf", Type: RelationPartOf, DefaultKind: "Domain"},
		},
	})

	// Location points to other places where entities are declared.
	Location = NewKind[LocationSpec](Definition{
		Kind: "Location", APIVersions: coreVersions, Schema: schemaFile("location"),
	})

	// User is a person.
	User = NewKind[UserSpec](Definition{
		Kind: "User", APIVersions: coreVersions, Schema: schemaFile("user"),
		Relations: []RelationField{{Path: "spec.memberOf", Type: RelationMemberOf, DefaultKind: "Group"}},
	})

	// Group is a team, a department, or any other group of people.
	Group = NewKind[GroupSpec](Definition{
		Kind: "Group", APIVersions: coreVersions, Schema: schemaFile("group"),
		Relations: []RelationField{
			{Path: "spec.parent", Type: RelationChildOf, DefaultKind: "Group"},
			{Path: "spec.children", Type: RelationParentOf, DefaultKind: "Group"},
			{Path: "spec.members", Type: RelationHasMember, DefaultKind: "User"},
		},
	})

	// Template is a software template, which the scaffolder runs.
	Template = NewKind[TemplateSpec](Definition{
		Kind: "Template", APIVersions: []string{"scaffolder.backstage.io/v1beta3"}, Schema: schemaFile("template"),
		Relations: []RelationField{ownerField},
	})

	// AIResource is context for AI coding tools, of a type that none of the kinds below describes.
	AIResource = aiResource[AIResourceSpec]("", nil)

	// AISkill is an AiResource of type skill: knowledge that AI coding tools can reuse.
	AISkill = aiResource[AISkillSpec]("skill", &RelationField{Path: "spec.dependsOn", Type: RelationDependsOn})

	// AIRule is an AiResource of type rule: something that AI coding tools must observe.
	AIRule = aiResource[AIRuleSpec]("rule", nil)

	// AIPlugin is an AiResource of type plugin: skills that are handed out together.
	AIPlugin = aiResource[AIPluginSpec]("plugin", &RelationField{Path: "spec.skills", Type: RelationHasPart})

	// AIMarketplace is an AiResource of type marketplace: a list of plugins to choose from.
	AIMarketplace = aiResource[AIMarketplaceSpec]("marketplace", &RelationField{Path: "spec.plugins", Type: RelationHasPart})
)

func aiResource[S any](specType string, parts *RelationField) Kind[S] {
	owner, system := ownerField, systemField
	owner.TargetKinds, system.TargetKinds = []string{"Group", "User"}, []string{"System"}
	schema := "airesource"
	if specType != "" {
		schema += "-" + specType
	}
	relations := []RelationField{owner, system}
	if parts != nil {
		parts.DefaultKind, parts.TargetKinds = "AiResource", []string{"AiResource"}
		relations = append(relations, *parts)
	}
	return NewKind[S](Definition{
		Kind: "AiResource", SpecType: specType, APIVersions: coreVersions[:1],
		Schema: schemaFile(schema), Relations: relations,
	})
}

func builtinKinds() []KindDefinition {
	return []KindDefinition{Component, API, MCPServer, Resource, System, Domain, Location, User, Group, Template,
		AIResource, AISkill, AIRule, AIPlugin, AIMarketplace}
}

// References in specs are as the entity spells them, full or partial: [Registry.Relations] resolves them.

// ComponentSpec is the spec of a [Component].
type ComponentSpec struct {
	Type           string   `json:"type"`      // such as "service", "website", "library"
	Lifecycle      string   `json:"lifecycle"` // such as "experimental", "production", "deprecated"
	Owner          string   `json:"owner"`     // a Group or User
	System         string   `json:"system,omitempty"`
	SubcomponentOf string   `json:"subcomponentOf,omitempty"`
	ProvidesAPIs   []string `json:"providesApis,omitempty"`
	ConsumesAPIs   []string `json:"consumesApis,omitempty"`
	DependsOn      []string `json:"dependsOn,omitempty"`
	DependencyOf   []string `json:"dependencyOf,omitempty"`
}

// APISpec is the spec of an [API].
type APISpec struct {
	Type       string `json:"type"` // such as "openapi", "asyncapi", "graphql", "grpc"
	Lifecycle  string `json:"lifecycle"`
	Owner      string `json:"owner"`
	System     string `json:"system,omitempty"`
	Definition string `json:"definition"` // in the format that Type names
}

// MCPServerSpec is the spec of an [MCPServer].
type MCPServerSpec struct {
	Type      string      `json:"type"` // "mcp-server"
	Lifecycle string      `json:"lifecycle"`
	Owner     string      `json:"owner"`
	System    string      `json:"system,omitempty"`
	Remotes   []MCPRemote `json:"remotes"` // at least one
}

// MCPRemote is one way to reach an [MCPServer].
type MCPRemote struct {
	Type string `json:"type"` // the transport, such as "streamable-http", "sse", "stdio"
	URL  string `json:"url"`
}

// ResourceSpec is the spec of a [Resource].
type ResourceSpec struct {
	Type         string   `json:"type"` // such as "database", "s3-bucket", "cluster"
	Owner        string   `json:"owner"`
	System       string   `json:"system,omitempty"`
	DependsOn    []string `json:"dependsOn,omitempty"`
	DependencyOf []string `json:"dependencyOf,omitempty"`
}

// SystemSpec is the spec of a [System].
type SystemSpec struct {
	Owner  string `json:"owner"`
	Domain string `json:"domain,omitempty"`
	Type   string `json:"type,omitempty"`
}

// DomainSpec is the spec of a [Domain].
type DomainSpec struct {
	Owner       string `json:"owner"`
	SubdomainOf string `json:"subdomainOf,omitempty"`
	Type        string `json:"type,omitempty"`
}

// LocationSpec is the spec of a [Location].
type LocationSpec struct {
	Type     string   `json:"type,omitempty"` // none: that of the location the entity was read from
	Target   string   `json:"target,omitempty"`
	Targets  []string `json:"targets,omitempty"`
	Presence string   `json:"presence,omitempty"` // "required", the default, or "optional"
}

// Profile is how a [User] or [Group] presents itself.
type Profile struct {
	DisplayName string `json:"displayName,omitempty"`
	Email       string `json:"email,omitempty"`
	Picture     string `json:"picture,omitempty"` // a URL
}

// UserSpec is the spec of a [User].
type UserSpec struct {
	Profile  *Profile `json:"profile,omitempty"`
	MemberOf []string `json:"memberOf"` // Groups
}

// GroupSpec is the spec of a [Group].
type GroupSpec struct {
	Type     string   `json:"type"` // such as "team", "department"
	Profile  *Profile `json:"profile,omitempty"`
	Parent   string   `json:"parent,omitempty"`
	Children []string `json:"children"`
	Members  []string `json:"members,omitempty"`
}

// TemplateSpec is the spec of a [Template].
type TemplateSpec struct {
	Type           string             `json:"type"`
	Owner          string             `json:"owner,omitempty"`
	Lifecycle      string             `json:"lifecycle,omitempty"`
	Parameters     json.RawMessage    `json:"parameters,omitempty"` // a JSON Schema with ui: additions, or an array of them, one a page
	Secrets        *TemplateSecrets   `json:"secrets,omitempty"`
	FormDecorators []FormDecorator    `json:"formDecorators,omitempty"`
	Steps          []TemplateStep     `json:"steps"`
	Output         map[string]any     `json:"output,omitempty"`
	Presentation   *TemplateLabelling `json:"presentation,omitempty"`
}

// TemplateSecrets says which secrets a [Template] takes.
type TemplateSecrets struct {
	Schema json.RawMessage `json:"schema,omitempty"` // a JSON Schema
}

// FormDecorator names something that runs in the browser before a [Template]'s form is submitted.
type FormDecorator struct {
	ID    string         `json:"id,omitempty"`
	Input map[string]any `json:"input,omitempty"`
}

// TemplateStep is one step of a [Template].
type TemplateStep struct {
	ID     string         `json:"id,omitempty"`
	Name   string         `json:"name,omitempty"`
	Action string         `json:"action"`
	Input  map[string]any `json:"input,omitempty"`
	If     any            `json:"if,omitempty"`   // a string or a boolean
	Each   any            `json:"each,omitempty"` // a string, an array or an object
}

// TemplateLabelling changes texts of a [Template]'s form.
type TemplateLabelling struct {
	ButtonLabels struct {
		BackButtonText   string `json:"backButtonText,omitempty"`
		CreateButtonText string `json:"createButtonText,omitempty"`
		ReviewButtonText string `json:"reviewButtonText,omitempty"`
	} `json:"buttonLabels,omitzero"`
}

// AIResourceSpec is the spec of an [AIResource], and part of that of every type of AiResource.
type AIResourceSpec struct {
	Type      string `json:"type"`
	Lifecycle string `json:"lifecycle"`
	Owner     string `json:"owner"`
	System    string `json:"system,omitempty"`
}

// AISkillSpec is the spec of an [AISkill].
type AISkillSpec struct {
	AIResourceSpec
	Disciplines   []string `json:"disciplines,omitempty"`
	Categories    []string `json:"categories,omitempty"`
	Agents        []string `json:"agents,omitempty"`
	DependsOn     []string `json:"dependsOn,omitempty"`
	AllowedTools  string   `json:"allowedTools,omitempty"`
	License       string   `json:"license,omitempty"`
	Compatibility string   `json:"compatibility,omitempty"` // at most 500 characters
}

// AIRuleSpec is the spec of an [AIRule].
type AIRuleSpec struct {
	AIResourceSpec
	Disciplines []string `json:"disciplines,omitempty"`
	Category    string   `json:"category"`
	Rationale   string   `json:"rationale"`
}

// AIPluginSpec is the spec of an [AIPlugin].
type AIPluginSpec struct {
	AIResourceSpec
	Skills  []string `json:"skills"`
	Version string   `json:"version,omitempty"`
}

// AIMarketplaceSpec is the spec of an [AIMarketplace].
type AIMarketplaceSpec struct {
	AIResourceSpec
	Plugins []string `json:"plugins"`
	Version string   `json:"version,omitempty"`
}
