// Calls every method of Backstage's own client of the catalog, and writes what came of it as JSON: the results by name, those of reads as
// they are. Arguments: the base URL of the catalog, a token, and the URL of a site with files.
import { CatalogClient, CATALOG_FILTER_EXISTS } from '@backstage/catalog-client';

const [, , baseUrl, token, site] = process.argv;
const client = new CatalogClient({ discoveryApi: { getBaseUrl: async () => baseUrl } });
const options = { token };
const results = {};

async function step(name, call) {
  try {
    results[name] = { value: (await call()) ?? null };
  } catch (error) {
    results[name] = { error: { name: error.name, status: error.response?.status ?? 0, message: String(error.body?.error?.message ?? error.message) } };
  }
  return results[name].value;
}
async function collect(pages) {
  const sizes = [];
  const items = [];
  for await (const page of pages) {
    sizes.push(page.length);
    items.push(...page);
  }
  return { sizes, items };
}
const predicate = { $all: [{ kind: 'component' }, { $not: { 'spec.type': 'library' } }] };
const order = { field: 'metadata.name', order: 'asc' };

// What doesn't change anything.
await step('getEntities', () => client.getEntities({}, options));
await step('getEntities filtered', () => client.getEntities({
  filter: [{ kind: ['component', 'api'], 'metadata.namespace': 'default' }, { 'metadata.annotations.backstage.io/techdocs-ref': CATALOG_FILTER_EXISTS }],
  fields: ['kind', 'metadata.name'], order: [order, { field: 'kind', order: 'desc' }], limit: 5, offset: 1,
}, options));
await step('getEntitiesByRefs', () => client.getEntitiesByRefs({
  entityRefs: ['component:default/checkout-api', 'component:default/nope', 'user:default/guest'], fields: ['metadata.name'],
}, options));
await step('getEntitiesByRefs by predicate', () => client.getEntitiesByRefs({
  entityRefs: ['component:default/checkout-api', 'user:default/guest'], query: predicate,
}, options));
await step('getEntitiesByRefs of many', async () => {
  const entityRefs = Array.from({ length: 2500 }, (_, i) => `component:default/none-${i}`).concat('user:default/guest');
  const { items } = await client.getEntitiesByRefs({ entityRefs }, options);
  return { length: items.length, found: items.filter(Boolean).map(e => e.metadata.name) };
});
const first = await step('queryEntities', () => client.queryEntities({ filter: { kind: 'component' }, orderFields: order, limit: 3, fields: ['metadata.name'] }, options));
const second = await step('queryEntities next', () => client.queryEntities({ cursor: first.pageInfo.nextCursor, limit: 3, fields: ['metadata.name'] }, options));
await step('queryEntities previous', () => client.queryEntities({ cursor: second.pageInfo.prevCursor, limit: 3, fields: ['metadata.name'] }, options));
await step('queryEntities text', () => client.queryEntities({ fullTextFilter: { term: 'checkout', fields: ['metadata.name'] }, orderFields: order }, options));
const some = await step('queryEntities by predicate', () => client.queryEntities({ query: predicate, orderFields: order, limit: 2 }, options));
await step('queryEntities by predicate, next', () => client.queryEntities({ cursor: some.pageInfo.nextCursor, limit: 2 }, options));
await step('queryEntities by predicate and filter', () => client.queryEntities({ query: predicate, filter: { 'spec.lifecycle': 'production' }, limit: 100 }, options));
await step('streamEntities', () => collect(client.streamEntities({ filter: { kind: 'component' }, orderFields: order, pageSize: 4 }, options)));
await step('streamEntities by predicate', () => collect(client.streamEntities({ query: predicate, orderFields: order, pageSize: 4 }, options)));
await step('getEntityByRef', () => client.getEntityByRef('component:default/checkout-api', options));
await step('getEntityByRef of none', () => client.getEntityByRef({ kind: 'component', namespace: 'default', name: 'nope' }, options));
await step('getEntityByName', () => client.getEntityByName({ kind: 'Component', name: 'checkout-api' }, options));
await step('getEntityAncestors', () => client.getEntityAncestors({ entityRef: 'component:default/checkout-api' }, options));
await step('getEntityFacets', () => client.getEntityFacets({ facets: ['kind', 'spec.type'], filter: { kind: ['component', 'api'] } }, options));
await step('getEntityFacets by predicate', () => client.getEntityFacets({ facets: ['kind', 'spec.type'], query: predicate }, options));
await step('validateEntity', () => client.validateEntity({
  apiVersion: 'backstage.io/v1alpha1', kind: 'Component', metadata: { name: 'good' }, spec: { type: 'service', lifecycle: 'production', owner: 'guest' },
}, 'url:https://example.com/a.yaml', options));
await step('validateEntity that is wrong', () => client.validateEntity({
  apiVersion: 'backstage.io/v1alpha1', kind: 'Component', metadata: { name: 'no type' }, spec: {},
}, 'url:https://example.com/a.yaml', options));
await step('analyzeLocation', () => client.analyzeLocation({ location: { type: 'url', target: 'https://github.com/acme/shop/blob/main/catalog-info.yaml' } }, options));

// What brings and removes entities.
await step('addLocation dry', () => client.addLocation({ target: `${site}/a.yaml`, dryRun: true }, options));
await step('getLocations before', () => client.getLocations({}, options));
const added = await step('addLocation', () => client.addLocation({ type: 'url', target: `${site}/a.yaml` }, options));
await step('addLocation twice', () => client.addLocation({ target: `${site}/a.yaml` }, options));
await step('addLocation refreshing', () => client.addLocation({ target: `${site}/a.yaml`, onConflict: 'refresh' }, options));
async function until(ref, there) {
  const end = Date.now() + 20000;
  for (;;) {
    const entity = await client.getEntityByRef(ref, options);
    if (Boolean(entity) === there || Date.now() > end) return entity;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
const arrived = await step('the entity arrives', () => until('component:default/a', true));
const { id } = added.location;
const more = await step('addLocation more', () => client.addLocation({ target: `${site}/more.yaml` }, options));
await step('getLocations', () => client.getLocations({}, options));
await step('getLocationById', () => client.getLocationById(id, options));
await step('getLocationById of none', () => client.getLocationById('nope', options));
await step('getLocationByRef', () => client.getLocationByRef(`url:${site}/a.yaml`, options));
await step('getLocationByEntity', () => client.getLocationByEntity('component:default/a', options));
const page = await step('queryLocations', () => client.queryLocations({ limit: 1 }, options));
await step('queryLocations next', () => client.queryLocations({ cursor: page.pageInfo.nextCursor }, options));
await step('queryLocations by predicate', () => client.queryLocations({ query: { target: `${site}/a.yaml` } }, options));
await step('streamLocations', () => collect(client.streamLocations({ limit: 1 }, options)));
await step('refreshEntity', () => client.refreshEntity('component:default/a', options));
await step('refreshEntity of none', () => client.refreshEntity('component:default/nope', options));
await step('updateLocation', () => client.updateLocation(id, { target: `${site}/b.yaml` }, options));
await step('the other entity arrives', () => until('component:default/b', true));
await step('removeEntityByUid', () => client.removeEntityByUid(arrived.metadata.uid, options));
await step('removeEntityByUid of none', () => client.removeEntityByUid('nope', options));
await step('removeLocationById', () => client.removeLocationById(id, options));
await step('the entity is gone', () => until('component:default/b', false));
await step('removeLocationById more', () => client.removeLocationById(more.location.id, options));
await step('the last entity is gone', () => until('component:default/more', false));

// Who shows nothing gets nothing.
await step('anonymous', () => client.getEntities({}));
console.log(JSON.stringify(results));
