// Asks Backstage's own packages for their verdicts on generated entities, references and YAML texts, and writes them
// beside itself as entities.jsonl.gz, refs.jsonl.gz and yaml.jsonl.gz, which differential_test.go compares with ours.
//
//   npm install && node generate.mjs
//
// It is deterministic: the same packages give the same files.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const model = require('@backstage/catalog-model');
const alpha = require('@backstage/catalog-model/alpha');
const { parseEntityYaml } = require('@backstage/plugin-catalog-node');
const { default: Ajv } = require('ajv');
const modelRoot = path.dirname(require.resolve('@backstage/catalog-model/package.json'));
const scaffolderRoot = path.dirname(require.resolve('@backstage/plugin-scaffolder-common/package.json'));
const backendRoot = path.dirname(require.resolve('@backstage/plugin-catalog-backend/package.json'));
const schema = name => require(path.join(modelRoot, 'dist/schema', `${name}.schema.json.cjs.js`)).default;
const templateSchema = require(path.join(scaffolderRoot, 'dist/Template.v1beta3.schema.json.cjs.js')).default;
const { templateEntityV1beta3Validator } = require(path.join(scaffolderRoot, 'dist/TemplateEntityV1beta3.cjs.js'));
const { BuiltinKindsEntityProcessor } = require(
  path.join(backendRoot, 'dist/processors/BuiltinKindsEntityProcessor.cjs.js'),
);

const { ModelProcessor } = require(path.join(backendRoot, 'dist/processors/ModelProcessor.cjs.js'));

// A small generator of random numbers (mulberry32), so that runs repeat.
let state = 20261121;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = n => Math.floor(random() * n);
const pick = list => list[below(list.length)];
const chance = p => random() < p;
const some = (list, most) => Array.from({ length: below(most + 1) }, () => pick(list));

// --- Valid entities ---

const names = ['a', 'petstore', 'Pet-Store_2.0', '9', 'x'.repeat(63), 'payments', 'API-gateway', 'a--b', 'a.b'];
const refs = ['team-a', 'group:default/team-a', 'user:jane.doe', 'other/thing', 'component:x', 'resource:infra/db', 'Group:Acme/Ops', 'system:shop'];
const fullRefs = ['component:x', 'resource:infra/db', 'api:default/pets', 'Component:Default/Y'];
const texts = ['x', 'A sentence, with punctuation.', 'Ünïcödé 日本 😀', ' ', 'line\nbreak', '${{ parameters.x }}'];
const urls = ['https://example.com', 'http://localhost:8080/a?b#c', 'mailto:x@example.com', 'https://bücher.example/ü', 'ftp://h/', 'urn:x', 'https://[::1]:80/', 'https://1.2.3.4'];
const maybe = (spec, key, make, p = 0.4) => {
  if (chance(p)) spec[key] = make();
};

function metadata() {
  const m = { name: pick(names) };
  maybe(m, 'namespace', () => pick(['default', 'internal', 'a-b', 'n'.repeat(63)]));
  maybe(m, 'title', () => pick(texts));
  maybe(m, 'description', () => pick([...texts, '']));
  maybe(m, 'labels', () => Object.fromEntries(some(['tier', 'example.com/x', 'a.b/c_d'], 2).map(k => [k, pick(['', 'x', 'A-b_c.9'])])));
  maybe(m, 'annotations', () => Object.fromEntries(some(['backstage.io/techdocs-ref', 'github.com/project-slug', 'x', 'constructor'], 3).map(k => [k, pick([...texts, ''])])));
  maybe(m, 'tags', () => some(['java', 'c++', 'c#', 'a-b', 'k:v', '1'], 3));
  maybe(m, 'links', () => Array.from({ length: below(3) }, () => {
    const link = { url: pick(urls) };
    maybe(link, 'title', () => pick(['Dash', 'é']));
    maybe(link, 'icon', () => 'dashboard');
    maybe(link, 'type', () => pick(['runbook', ' ']));
    return link;
  }));
  maybe(m, 'custom', () => pick([1, null, { a: [1.5, true] }]), 0.1);
  return m;
}

const profile = () => {
  const p = {};
  maybe(p, 'displayName', () => pick(texts));
  maybe(p, 'email', () => 'x@example.com');
  maybe(p, 'picture', () => pick(urls));
  return p;
};
const owned = type => ({ type, lifecycle: pick(['production', 'experimental', ' ']), owner: pick(refs) });
const core = () => pick(['backstage.io/v1alpha1', 'backstage.io/v1alpha1', 'backstage.io/v1beta1']);
const inSystem = s => maybe(s, 'system', () => pick(refs));
const permissions = () => ({ tags: some(['one', 'two'], 2) });
const page = () => {
  const p = { title: 'T', properties: { name: { type: 'string' } } };
  maybe(p, 'backstage:permissions', permissions, 0.3);
  return p;
};

const kinds = {
  Component: () => [core(), spec => {
    Object.assign(spec, owned(pick(['service', 'website', 'library'])));
    inSystem(spec);
    maybe(spec, 'subcomponentOf', () => pick(refs));
    for (const f of ['providesApis', 'consumesApis']) maybe(spec, f, () => some(refs, 3));
    maybe(spec, 'dependsOn', () => some(chance(0.8) ? fullRefs : refs, 3));
    maybe(spec, 'dependencyOf', () => some(fullRefs, 2), 0.2);
  }],
  API: () => [core(), spec => {
    Object.assign(spec, owned(pick(['openapi', 'grpc'])), { definition: pick(['openapi: "3.0.0"', ' ']) });
    inSystem(spec);
  }],
  'API/mcp-server': () => [core(), spec => {
    Object.assign(spec, owned('mcp-server'), { remotes: [{ type: 'sse', url: 'x' }, ...some([{ type: 'stdio', url: 'run me', extra: 1 }], 2)] });
    inSystem(spec);
  }],
  Resource: () => [core(), spec => {
    Object.assign(spec, { type: 'database', owner: pick(refs) });
    inSystem(spec);
    maybe(spec, 'dependsOn', () => some(fullRefs, 3));
    maybe(spec, 'dependencyOf', () => pick(fullRefs), 0.2);
  }],
  System: () => [core(), spec => {
    spec.owner = pick(refs);
    maybe(spec, 'domain', () => pick(refs));
    maybe(spec, 'type', () => 'product');
  }],
  Domain: () => [core(), spec => {
    spec.owner = pick(refs);
    maybe(spec, 'subdomainOf', () => pick(refs));
    maybe(spec, 'type', () => 'bundle');
  }],
  Location: () => [core(), spec => {
    maybe(spec, 'type', () => 'url');
    maybe(spec, 'target', () => './a.yaml');
    maybe(spec, 'targets', () => some(['./b.yaml', 'https://x/y'], 3));
    maybe(spec, 'presence', () => pick(['required', 'optional']));
  }],
  User: () => [core(), spec => {
    maybe(spec, 'profile', profile);
    spec.memberOf = some(refs, 3);
  }],
  Group: () => [core(), spec => {
    spec.type = 'team';
    maybe(spec, 'profile', profile);
    maybe(spec, 'parent', () => pick(refs));
    spec.children = some(refs, 2);
    maybe(spec, 'members', () => some(refs, 3));
  }],
  Template: () => ['scaffolder.backstage.io/v1beta3', spec => {
    spec.type = 'service';
    maybe(spec, 'owner', () => pick(refs));
    maybe(spec, 'lifecycle', () => 'production');
    maybe(spec, 'parameters', () => (chance(0.5) ? page() : [page(), page()].slice(below(3))));
    maybe(spec, 'secrets', () => ({ schema: { type: 'object' } }));
    maybe(spec, 'presentation', () => ({ buttonLabels: { backButtonText: 'B', createButtonText: '', reviewButtonText: 'R' } }));
    maybe(spec, 'EXPERIMENTAL_recovery', () => ({ EXPERIMENTAL_strategy: 'startOver' }), 0.2);
    maybe(spec, 'formDecorators', () => [{ id: 'x', input: { a: 1 } }], 0.2);
    spec.steps = Array.from({ length: below(3) }, () => {
      const step = { action: 'debug:log' };
      maybe(step, 'id', () => 'log');
      maybe(step, 'name', () => 'Log');
      maybe(step, 'input', () => ({ message: 'x', n: [1, { a: null }] }));
      maybe(step, 'if', () => pick([true, '${{ x }}']));
      maybe(step, 'each', () => ['a', 'b']);
      maybe(step, 'backstage:permissions', permissions, 0.2);
      return step;
    });
    maybe(spec, 'output', () => ({
      links: [{ title: 'Repo', url: 'x', if: pick([true, 'y']) }, { entityRef: 'component:x', icon: 'catalog' }],
      text: [{ title: 'T', content: '' }],
      remoteUrl: 'x',
    }));
  }],
  AiResource: () => ['backstage.io/v1alpha1', spec => {
    Object.assign(spec, owned(pick(['prompt', 'other'])));
    inSystem(spec);
  }],
  'AiResource/skill': () => ['backstage.io/v1alpha1', spec => {
    Object.assign(spec, owned('skill'));
    inSystem(spec);
    for (const f of ['disciplines', 'categories', 'agents', 'dependsOn']) maybe(spec, f, () => some(['web', 'airesource:x'], 2));
    maybe(spec, 'dependsOn', () => some(['x', 'AIResource:o/y', 'component:z'], 2));
    for (const f of ['allowedTools', 'license', 'compatibility']) maybe(spec, f, () => pick(['MIT', 'é'.repeat(500), '😀'.repeat(500)]));
  }],
  'AiResource/rule': () => ['backstage.io/v1alpha1', spec => {
    Object.assign(spec, owned('rule'), { category: 'security', rationale: pick(texts) });
    maybe(spec, 'disciplines', () => some(['web'], 2));
  }],
  'AiResource/plugin': () => ['backstage.io/v1alpha1', spec => {
    Object.assign(spec, owned('plugin'), { skills: some(['x', 'airesource:a/b', 'component:z'], 3) });
    maybe(spec, 'version', () => '1.0.0');
  }],
  'AiResource/marketplace': () => ['backstage.io/v1alpha1', spec => {
    Object.assign(spec, owned('marketplace'), { plugins: some(['x', 'airesource:a/b'], 3) });
    maybe(spec, 'version', () => '1.0.0');
  }],
};

function validEntity(kind) {
  const [apiVersion, fill] = kinds[kind]();
  const entity = { apiVersion, kind: kind.split('/')[0], metadata: metadata(), spec: {} };
  fill(entity.spec);
  maybe(entity.spec, 'extra', () => pick([null, 1, 'x', [{}]]), 0.15);
  return JSON.parse(JSON.stringify(entity));
}

// --- Mutations ---

const hostileTexts = ['', ' ', '\t\n', '\u00a0', '-', '-a', 'a-', 'a_', '.a', 'a b', 'a/b', 'a/b/c', '/a', 'a/', 'A', 'é', '\ud83d\ude00', 'x'.repeat(63), 'x'.repeat(64),
  'x'.repeat(254), 'a\n', '\na', 'a\u2028', 'a\u0000', 'a--b', 'a..b', 'Example.com/x', 'example.com/' + 'x'.repeat(64), `${'a'.repeat(64)}.com/x`,
  `${'abcdefg.'.repeat(31)}abcde/x`, `${'abcdefg.'.repeat(31)}abcdef/x`, 'v1', 'backstage.io/v1', 'backstage.io/v1alpha1/x', '1', '0x1', 'toString', 'a:b', 'a+b', 'a#', 'a-+', '#', 'ß', 'K'];
const hostileUrls = ['', ' ', 'x', '/x', '//x', 'http:', 'http://', 'http:///', 'http:///x', 'http:x', 'http:\\\\x', 'https://a b', 'https://a%20b', 'https://a%2', 'https://%zz', 'http://[::1', 'http://[::g]',
  'http://[::1]', 'http://[1::2::3]', 'http://[::ffff:1.2.3.4]', 'http://[fe80::1%25en0]', 'http://1.2.3', 'http://1.2.3.4.5', 'http://256.1.1.1', 'http://1.256', 'http://0x7f.1', 'http://0xg', 'http://09.1.1.1', 'http://4294967296', 'http://1..2',
  'http://x:65536', 'http://x:65535', 'http://x:', 'http://x:y', 'http://:80', 'http://a@', 'http://a@b', 'http://a:b@c:1', 'http://@/x', 'file:', 'file:///a', 'file://h:1/a', 'file://C:/x', 'file:x', 'file://a b',
  'a:', 'a:b', 'a://', 'a://x y', 'a://x:99999', 'a://:1', 'a://@', 'a://u@h', 'a://[x]', 'a:///x', '1a:b', 'a_b:c', 'javascript:alert(1)', ' https://x ', 'ht\ntps://x', 'https://x\ty', 'https://é.x', 'https://a。b', 'https://a\u00a0b',
  'https://\u00ad', 'https://a_b.c', 'https://a|b', 'https://a^b', 'https://a<b', 'https://*.x', 'https://!$&\'()+,;=~', 'https://x.', 'https://.', 'https://..', 'data:,x', 'blob:x', 'https:/x', 'https:?x', 'https:#', 'ws://', 'wss://a', 'ftp:', 'about:blank'];
const values = [null, true, false, 0, 1.5, -1e300, '', ' ', 'x', [], {}, [null], [''], ['x'], [1], [[]], [{}], { a: 1 }, { '': 'x' }, { a: null }, { tags: 1 }, { tags: [1] }, 'x'.repeat(501), '😀'.repeat(501)];

function paths(value, prefix = []) {
  const out = [];
  if (value && typeof value === 'object') {
    for (const key of Object.keys(value)) {
      out.push([...prefix, key], ...paths(value[key], [...prefix, key]));
    }
  }
  return out;
}
function parentOf(entity, p) {
  return p.slice(0, -1).reduce((v, k) => v[k], entity);
}
const objectAt = (entity, ...keys) => {
  let v = entity;
  for (const k of keys) {
    if (!v[k] || typeof v[k] !== 'object') v[k] = {};
    v = v[k];
  }
  return v;
};
const listAt = (entity, ...keys) => {
  const parent = objectAt(entity, ...keys.slice(0, -1));
  const last = keys.at(-1);
  if (!Array.isArray(parent[last])) parent[last] = [];
  return parent[last];
};

const mutations = [
  e => { const p = pick(paths(e)); const parent = parentOf(e, p); if (Array.isArray(parent)) parent.splice(Number(p.at(-1)), 1); else delete parent[p.at(-1)]; },
  e => { const p = pick(paths(e)); parentOf(e, p)[p.at(-1)] = structuredClone(pick(values)); },
  e => { const p = pick(paths(e)); parentOf(e, p)[p.at(-1)] = pick(hostileTexts); },
  e => { const p = pick(paths(e).filter(q => q[0] === 'spec' || q[0] === 'metadata').concat([['kind']])); parentOf(e, p)[p.at(-1)] = structuredClone(pick(values)); },
  e => { const p = pick(paths(e).filter(q => q.length <= 2)); const parent = parentOf(e, p); const v = parent[p.at(-1)]; delete parent[p.at(-1)]; parent[pick([p.at(-1).toUpperCase(), `${p.at(-1)}s`, ` ${p.at(-1)}`])] = v; },
  e => { e[pick(['relations', 'status', 'Spec', 'foo', '', 'constructor', 'a/b~c'])] = structuredClone(pick(values)); },
  e => { e.relations = pick([[], [{ type: 'ownedBy', targetRef: 'x' }], [{ type: 'a b', targetRef: '' }], [{ type: 'é' }], [{ type: 'a', targetRef: 'b', target: { kind: 'k', namespace: 'n', name: '' } }], [{ type: 'a', targetRef: 'b', target: { kind: 'k' }, x: 1 }]]); },
  e => { e.status = pick([{}, { items: [] }, { items: [{ type: 't', level: 'info', message: '' }] }, { items: [{ type: '', level: 'bad', message: 1 }] }, { items: [{}] }, { items: [{ type: 't', level: 'error', message: 'm', error: { name: 'E', message: 'm', code: 1 } }] }, { items: [{ type: 't', level: 'error', message: 'm', error: {} }], x: 1 }]); },
  e => { e.kind = pick(['component', 'COMPONENT', 'Foo', 'Api', 'API', 'Group', 'Template', 'AiResource', 'aiResource', 'K8s-Thing', '1a', 'K'.repeat(64), 'User', 'Location', '']); },
  e => { e.apiVersion = pick(['v1', 'backstage.io/v1alpha1', 'backstage.io/v1beta1', 'backstage.io/v1beta2', 'backstage.io/v1alpha1 ', 'scaffolder.backstage.io/v1beta3', 'scaffolder.backstage.io/v1beta2', 'backstage.io/', 'Backstage.io/v1alpha1', 'a/b/c', 'a_b', '']); },
  e => { objectAt(e, 'metadata').name = pick([...hostileTexts, ...values]); },
  e => { objectAt(e, 'metadata').namespace = pick([...hostileTexts, ...values]); },
  e => { objectAt(e, 'metadata', 'labels')[pick([...hostileTexts, 'a'])] = pick([...hostileTexts, 1, null, 'x']); },
  e => { objectAt(e, 'metadata', 'annotations')[pick([...hostileTexts, 'a'])] = pick([...hostileTexts, 1, null, 'x']); },
  e => { listAt(e, 'metadata', 'tags').push(pick([...hostileTexts, 1, null])); },
  e => { listAt(e, 'metadata', 'links').push({ url: pick(hostileUrls) }); },
  e => { listAt(e, 'metadata', 'links').push({ url: pick(hostileUrls) }, { url: pick(hostileUrls) }, { url: pick(hostileUrls) }); },
  e => { listAt(e, 'metadata', 'links').push(pick([{}, null, 'x', { url: null }, { url: 'a:b', title: pick(hostileTexts) }, { url: 'a:b', icon: pick(hostileTexts) }, { url: 'a:b', type: '' }, { url: 'a:b', title: null, x: 1 }])); },
  e => { objectAt(e, 'spec').type = pick(['skill', 'rule', 'plugin', 'marketplace', 'mcp-server', 'x', '', 1, null]); },
  e => { const spec = objectAt(e, 'spec'); const keys = Object.keys(spec); if (keys.length) spec[pick(keys)] = structuredClone(pick(values)); },
  e => { const spec = objectAt(e, 'spec'); spec[pick(['owner', 'system', 'parent', 'children', 'members', 'memberOf', 'dependsOn', 'providesApis', 'targets', 'presence', 'profile', 'steps', 'parameters', 'output', 'remotes', 'compatibility', 'disciplines', 'secrets', 'presentation', 'formDecorators'])] = structuredClone(pick(values)); },
];

// --- Verdicts ---

const supporting = ['Entity', 'EntityMeta', 'shared/common'].map(schema);
function compile(kindSchema) {
  const ajv = new Ajv({ allowUnionTypes: true, allErrors: true });
  ajv.addSchema(supporting.filter(s => s.$id !== kindSchema.$id), undefined, undefined, true);
  return ajv.compile(kindSchema);
}
const anyEntity = compile(schema('Entity'));
const coreVersions = ['backstage.io/v1alpha1', 'backstage.io/v1beta1'];
const definitions = [
  ['Component', coreVersions, '', schema('kinds/Component.v1alpha1'), model.componentEntityV1alpha1Validator],
  ['API', coreVersions, '', schema('kinds/API.v1alpha1'), model.apiEntityV1alpha1Validator],
  ['API', coreVersions, 'mcp-server', schema('kinds/API.v1alpha1.mcp-server'), alpha.mcpServerApiEntityValidator],
  ['Resource', coreVersions, '', schema('kinds/Resource.v1alpha1'), model.resourceEntityV1alpha1Validator],
  ['System', coreVersions, '', schema('kinds/System.v1alpha1'), model.systemEntityV1alpha1Validator],
  ['Domain', coreVersions, '', schema('kinds/Domain.v1alpha1'), model.domainEntityV1alpha1Validator],
  ['Location', coreVersions, '', schema('kinds/Location.v1alpha1'), model.locationEntityV1alpha1Validator],
  ['User', coreVersions, '', schema('kinds/User.v1alpha1'), model.userEntityV1alpha1Validator],
  ['Group', coreVersions, '', schema('kinds/Group.v1alpha1'), model.groupEntityV1alpha1Validator],
  ['Template', ['scaffolder.backstage.io/v1beta3'], '', templateSchema, templateEntityV1beta3Validator],
  ['AiResource', coreVersions.slice(0, 1), '', schema('kinds/AiResource.v1alpha1'), alpha.aiResourceEntityV1alpha1Validator],
  ['AiResource', coreVersions.slice(0, 1), 'skill', schema('kinds/AiResource.v1alpha1.skill'), alpha.skillAiResourceEntityV1alpha1Validator],
  ['AiResource', coreVersions.slice(0, 1), 'rule', schema('kinds/AiResource.v1alpha1.rule'), alpha.ruleAiResourceEntityV1alpha1Validator],
  ['AiResource', coreVersions.slice(0, 1), 'plugin', schema('kinds/AiResource.v1alpha1.plugin'), alpha.pluginAiResourceEntityV1alpha1Validator],
  ['AiResource', coreVersions.slice(0, 1), 'marketplace', schema('kinds/AiResource.v1alpha1.marketplace'), alpha.marketplaceAiResourceEntityV1alpha1Validator],
].map(([kind, versions, specType, jsonSchema, validator]) => ({ kind, versions, specType, ajv: compile(jsonSchema), validator }));

function definitionOf(entity) {
  const matching = definitions.filter(d => d.kind === entity.kind && d.versions.includes(entity.apiVersion));
  return matching.find(d => d.specType && d.specType === entity.spec?.type) ?? matching.find(d => !d.specType);
}

const checkEnvelope = model.entityEnvelopeSchemaValidator();
const checkEntity = model.entitySchemaValidator();
const policy = model.EntityPolicies.allOf([
  new model.SchemaValidEntityPolicy(),
  new model.DefaultNamespaceEntityPolicy(),
  new model.NoForeignRootFieldsEntityPolicy(),
  new model.FieldFormatEntityPolicy(),
]);

// What the catalog backend does before it accepts an entity, in its order.
async function verdict(entity) {
  try {
    checkEnvelope(structuredClone(entity));
    const enforced = await policy.enforce(structuredClone(entity));
    checkEntity(enforced);
    const validator = definitionOf(enforced)?.validator;
    if (!validator || !(await validator.check(enforced))) {
      throw new Error('No processor recognized the entity');
    }
    return undefined;
  } catch (e) {
    return e.message;
  }
}

const escape = key => String(key).replaceAll('~', '~0').replaceAll('/', '~1');
const pointer = (...keys) => keys.map(k => `/${escape(k)}`).join('');
const isObject = v => typeof v === 'object' && v !== null && !Array.isArray(v);

function schemaFields(validate, entity) {
  if (validate(entity)) return [];
  const at = e => {
    if (e.keyword === 'required') return e.instancePath + pointer(e.params.missingProperty);
    if (e.keyword === 'additionalProperties') return e.instancePath + pointer(e.params.additionalProperty);
    return e.instancePath;
  };
  const depth = p => p.split('/').length;
  const inBranches = validate.errors.filter(e => e.schemaPath.includes('/oneOf'));
  const deepest = Math.max(0, ...inBranches.map(e => depth(at(e))));
  return validate.errors
    .filter(e => !inBranches.includes(e) || depth(at(e)) === deepest)
    .map(at);
}

// The field format policy stops at the first field: ask it about one field at a time.
async function formatFields(entity) {
  const formats = new model.FieldFormatEntityPolicy();
  const fields = [];
  async function ask(field, change) {
    const minimal = { apiVersion: 'a/b', kind: 'K', metadata: { name: 'n' } };
    change(minimal);
    try {
      await formats.enforce(minimal);
    } catch {
      fields.push(field);
    }
  }
  if ('apiVersion' in entity) await ask('/apiVersion', m => { m.apiVersion = entity.apiVersion; });
  if ('kind' in entity) await ask('/kind', m => { m.kind = entity.kind; });
  const md = entity.metadata;
  if (!isObject(md)) return fields;
  if ('name' in md) await ask('/metadata/name', m => { m.metadata.name = md.name; });
  if ('namespace' in md) await ask('/metadata/namespace', m => { m.metadata.namespace = md.namespace; });
  for (const key of ['labels', 'annotations']) {
    for (const [k, v] of isObject(md[key]) ? Object.entries(md[key]) : []) {
      await ask(pointer('metadata', key, k), m => { m.metadata[key] = { [k]: v }; });
    }
  }
  for (const [i, tag] of Array.isArray(md.tags) ? md.tags.entries() : []) {
    await ask(pointer('metadata', 'tags', i), m => { m.metadata.tags = [tag]; });
  }
  for (const [i, link] of Array.isArray(md.links) ? md.links.entries() : []) {
    if (!isObject(link)) continue;
    for (const key of ['url', 'title', 'icon']) {
      if (key in link) await ask(pointer('metadata', 'links', i, key), m => { m.metadata.links = [{ url: 'a:b', [key]: link[key] }]; });
    }
  }
  return fields;
}

async function allFields(entity) {
  const definition = definitionOf(entity);
  const fields = schemaFields(definition?.ajv ?? anyEntity, entity);
  fields.push(...Object.keys(entity).filter(k => !['apiVersion', 'kind', 'metadata', 'spec'].includes(k)).map(k => pointer(k)));
  fields.push(...(await formatFields(entity)));
  if (!definition && typeof entity.kind === 'string' && entity.kind && typeof entity.apiVersion === 'string' && entity.apiVersion) {
    fields.push(definitions.some(d => d.kind === entity.kind) ? '/apiVersion' : '/kind');
  }
  return [...new Set(fields)].sort();
}

// The relations that the catalog's own processors emit; newer kinds have theirs from the compiled model.
async function relations(entity) {
  const emitted = [];
  const processor = classic.has(entity.kind) ? new BuiltinKindsEntityProcessor() : new ModelProcessor({ model: compiledModel });
  try {
    await processor.postProcessEntity(structuredClone(entity), undefined, r => emitted.push(r.relation));
  } catch (e) {
    return { error: e.message };
  }
  const text = r => `${model.stringifyEntityRef(r.source)} ${r.type} ${model.stringifyEntityRef(r.target)}`;
  return { relations: emitted.map(text) };
}
const classic = new Set(['Component', 'API', 'Resource', 'System', 'Domain', 'Location', 'User', 'Group']);

// --- The model that the alpha exports compile, which must agree with the validators above ---

const compiledModel = alpha.compileCatalogModel([
  alpha.defaultCatalogEntityModel, alpha.mcpServerApiEntityModel, alpha.aiResourceEntityModel,
]);
const modelSchemas = new Map();
function modelAccepts(entity) {
  let kind;
  try {
    kind = compiledModel.getKind(entity);
  } catch {
    return false;
  }
  if (!kind) return false;
  if (!modelSchemas.has(kind)) modelSchemas.set(kind, new Ajv({ allowUnionTypes: true, allErrors: true, addUsedSchema: false }).compile(kind.jsonSchema));
  return modelSchemas.get(kind)(entity);
}

// --- Output ---

function write(name, rows) {
  const text = rows.map(r => `${JSON.stringify(r)}\n`).join('');
  fs.writeFileSync(path.join(here, name), zlib.gzipSync(text, { level: 9 }));
  console.log(name, rows.length);
}

async function entities() {
  const rows = [];
  const counts = { valid: 0, invalid: 0, modelDisagrees: 0 };
  const kindNames = Object.keys(kinds);
  for (let i = 0; i < 7500; i++) {
    const entity = validEntity(kindNames[i % kindNames.length]);
    for (let n = chance(0.3) ? 0 : 1 + below(3); n > 0 && paths(entity).length > 0; n--) {
      try {
        pick(mutations)(entity);
      } catch {
        // The mutation does not fit what earlier ones left.
      }
    }
    const plain = JSON.parse(JSON.stringify(entity));
    const row = { entity: plain };
    try {
      checkEnvelope(plain);
    } catch (e) {
      row.envelope = e.message;
    }
    const message = await verdict(plain);
    const fields = await allFields(plain);
    if ((message === undefined) !== (fields.length === 0)) {
      throw new Error(`The pipeline says ${message}, but the fields are ${fields}: ${JSON.stringify(plain)}`);
    }
    if (message === undefined) {
      counts.valid++;
      if (plain.kind !== 'Template') Object.assign(row, await relations(plain));
      if (plain.kind !== 'Template' && !modelAccepts(plain)) counts.modelDisagrees++;
    } else {
      counts.invalid++;
      row.message = message;
      row.fields = fields;
    }
    rows.push(row);
  }
  console.log(counts);
  write('entities.jsonl.gz', rows);
}

function references() {
  const parts = ['', 'a', 'B', 'component', 'Group', 'default', 'x.y', 'é', 'É', 'İ', 'I', 'ı', 'ΑΣ', 'Σ', 'ΑΣ.', 'ΑΣΑ', "Σ'Σ", 'ẞ', 'ß', 'Ǆ', 'ﬁ', 'Ω', 'K', '😀', '𐐀', ' ', 'a b', '\t', '\n', '"', '\\', '\u0000', '\u007f', '\u2028', '<', '&', 'Ⅷ', 'Ꭰ', 'Ა', '-', '_', '%2F', 'null', '日本', 'A\u0301', 'Σ\u0301', 'aΣ\u0301', 'aΣ\u00adb'];
  const rows = [];
  const seen = new Set();
  const add = (ref, kind, namespace) => {
    const key = JSON.stringify([ref, kind, namespace]);
    if (seen.has(key)) return;
    seen.add(key);
    const row = { ref, kind, namespace };
    try {
      const parsed = model.parseEntityRef(ref, { defaultKind: kind, defaultNamespace: namespace });
      row.parsed = [parsed.kind, parsed.namespace, parsed.name];
      row.text = model.stringifyEntityRef(parsed);
    } catch (e) {
      row.error = e.message;
    }
    rows.push(row);
  };
  const context = () => [pick([undefined, undefined, '', 'Component', 'İx']), pick([undefined, undefined, '', 'Other'])];
  while (rows.length < 6500) {
    const a = pick(parts), b = pick(parts), c = pick(parts);
    const forms = [a, `${a}:${b}`, `${a}/${b}`, `${a}:${b}/${c}`, `${a}/${b}:${c}`, `${a}:${b}:${c}`, `${a}/${b}/${c}`, `${a}${b}${c}`, some([...parts, ':', '/', ':', '/'], 7).join('')];
    add(pick(forms), ...context());
  }
  write('refs.jsonl.gz', rows);
}

// YAML texts as the catalog reads them: each gives a list of objects and, as null, errors.
function yamlTexts() {
  const scalars = ['', '~', 'null', 'Null', 'NULL', 'nULL', 'true', 'True', 'TRUE', 'tRUE', 'yes', 'no', 'on', 'off', 'y', 'n', '0', '-0', '+1', '007', '1_000', '0x1F', '0X1F', '0x', '0o17', '0O17', '017', '0b11', '1.5', '1.', '.5', '-.5', '+.5', '.', '1e3', '1E+3', '1.5e-3', '1e', '.e3', '12345678901234567890', '0.1000',
    '.inf', '-.Inf', '+.INF', '.nan', '.NaN', '.NAN', '2001-01-01', '2001-01-01T00:00:00Z', '12:30', '190:20:30', '<<', '=', '!!str 1', '!!str', '!!int 5', '!!float 5', '!!bool true', '!!null ~', '!custom x', '! 5', '"a\\nb"', "'a''b'", '"\\u00e9"', '"\\x41"', '"a\\\n  b"', 'a b', 'a: b', 'a #b', 'a#b', '#b', '- a', '[a, b]', '[a, b', '{a: 1}', '{a: 1, a: 2}', '{a, b: }', '[a: 1]', '{"a":1}', '{a:1}', '[a,]', '[,a]', '&x 1', '*x', '@a', '`a', '%a', '? a', '-', '--', '---', ':', ':a', 'a:', '|', '|\n    x\n    y\n', '>\n    x\n    y\n', '|-\n    x\n', '|+\n    x\n\n', '>2\n      x\n', '|9\n x', "'unclosed", '"unclosed', '"bad \\q"', '\ta', 'a\tb', 'é😀', '\u0007', '"\\0"', '${{ a.b }}', '{{ x }}', '${{ a }}: b', '!!timestamp 2001-01-01', '[1, [2, {a: [3]}]]', '{ ui:autofocus: true }', '{ a: "x", "b": \'y\' }', '*', '&', '!', '? [a]\n  : b', '- a\n  - b', '\n  - a\n  - b', '\n    c: d\n    e: f', '\n  c: d\n   e: f', '\n- a\n- b'];
  const texts = scalars.flatMap(s => [`a: ${s}\n`, `a:\n  b: ${s}\nc: d\n`, `${s}: a\n`, `a: [${s}]\n`, `- ${s}\n`]);
  texts.push(
    '', '\n', '# only\n', '---\n', '---\n---\n', '...\n', '--- a\n', '--- {a: 1}\n', 'a: 1\n---\nb: 2\n', 'a: 1\n...\nb: 2\n', 'a: 1\n...\n---\nb: 2\n', 'a: 1\n---\n# c\n---\nb: 2', 'a: [\n---\nb: 2\n', 'a: "x\n---\nb: 2\n', 'a: |\n  x\n---\nb: 2\n', 'a: |\n  ---\n  x\nb: 1\n',
    '%YAML 1.2\n---\na: 010\n', '%TAG ! tag:x,2000:\n---\na: !b c\n', 'a: 1\r\nb: 2\r\n---\r\nc: 3\r\n', '\ufeffa: 1\n', 'a: &x {b: 1}\nc: *x\n', 'a: &x [*x]\n', 'a: *nope\n', 'base: &b {x: 1}\na:\n  <<: *b\n  y: 2\n', 'a: 1\na: 2\n', 'a: {b: 1, b: 2}\n', '1: a\n"1": b\n', '1: a\n1.0: b\n', 'true: a\n', '~: a\n', '[a]: b\n', '{a: 1}: b\n', '? a\n: b\n? c\n', 'a\n', '5\n', '[1]\n', 'a: b: c\n', 'a:\n- b\n- c\n', 'a:\n  - b\n c: d\n', ' a: 1\nb: 2\n', 'a: 1\n b: 2\n', 'a: x\n  y\n  z\n', 'a: x\n\n  y\nb: 1\n', 'a: \'x\n  y\'\n', 'a: "x\ny"\n', 'a: [1,\n2]\n', 'a: [1,\n 2]\n', '{a: 1}\n{b: 2}\n', 'a: !!map {b: 1}\n', 'a: !!seq [b]\n', 'a: !!str [b]\n', 'a: !x {b: 1}\n', 'a: "\\ud83d\\ude00"\n', 'a: >\n  x\n\n  y\n    z\n', 'a: |\n\n  x\n', 'a: |1\n  x\n', 'key with spaces: x\n', '"quoted": x\n', "'q': x\n", 'a:b\n', 'a:  b  \n', 'a: b # c\n', 'a: b#c\n', 'a: "b" #c\n', 'a: "b"#c\n', 'a: "b" c\n', '\ta: 1\n', 'a:\n\tb: 1\n', 'a: 1\n\n\n\nb: 2\n', '__proto__: x\n', 'a: {__proto__: 1}\n', `a: ${'['.repeat(50)}${']'.repeat(50)}\n`, `${'a'.repeat(2000)}: b\n`, `? ${'a'.repeat(2000)}\n: b\n`, 'a: &x b\n&y c: *x\n', '&a a: *a\n', 'a: 1 \n', 'a: -\n', 'a: - b\n', 'a: ?\n', 'a: ? b\n', 'x: [a b, c:d, e: f]\n', 'x: {a: , b: ~}\n', 'x: [?a]\n', 'x: {?a: b}\n', 'x: {"a"b}\n', 'x: ["a":b]\n', 'x: ["a": b]\n', 'x: {"a":b}\n', 'x: {[a]: b}\n', '- a\n- b\n', 'x: !!binary aGk=\n', 'x: !!set {a, b}\n',
  );
  const rows = [];
  for (const text of [...new Set(texts)]) {
    const results = [];
    try {
      for (const r of parseEntityYaml(Buffer.from(text), { type: 'url', target: 'x' })) {
        results.push(r.type === 'entity' ? JSON.parse(JSON.stringify(r.entity)) : null);
      }
    } catch {
      results.push(null); // thrown by the parser, or the object refers to itself
    }
    rows.push({ text, results });
  }
  write('yaml.jsonl.gz', rows);
}

await entities();
references();
yamlTexts();
