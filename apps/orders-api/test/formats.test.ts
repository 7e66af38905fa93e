import type { Problem } from '@orders/schema'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { readOperations } from './bad-input/document.ts'
import { type Place, placesOf, synonymsOf } from './bad-input/formats.ts'
import { startService } from './service.ts'

const { send } = await startService(t, { GUEST_KEYS: await newGuestKeys('test-key') })
const { json: guest } = await send('POST', '/api/v1/auth/guest')
const headers = { authorization: `Bearer ${guest.access_token}` }
const places = placesOf(await readOperations())

/** A request that is right but for `value` at the place. */
function requestOf({ operation, in: where, name }: Place, value: string) {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, parameter) => {
    if (where === 'path' && parameter === name) return encodeURIComponent(value)
    return /\/orgs\/\{\w+\}/.test(operation.path) && parameter !== 'user_id' ? guest.org.id : guest.user.id
  })
  const required = operation.parameters.filter((it) => it.in === 'query' && it.required && it.name !== name)
  const query = new URLSearchParams(required.map((it): [string, string] => [it.name, it.schema.enum?.[0] ?? '1']))
  if (where === 'query') query.set(name, value)
  const body = where === 'body' ? { amount: 1, [name]: value } : {}
  // A header has no line breaks and no characters beyond ASCII.
  const inHeader = where === 'header' && { [name]: value.replace(/[^ -~]/g, '?') }
  const sent = { ...headers, 'if-match': '*', ...inHeader }
  return { path: query.size > 0 ? `${path}?${query}` : path, headers: sent, ...(operation.body && { body }) }
}

const isAbout = ({ errors }: Problem, name: string) => errors?.[0]?.path === `/${name}`

t.test('rejects every synonym of a format wherever the OpenAPI document names the format', async (t) => {
  t.ok(places.length >= 25, `${places.length} places`)
  for (const place of places) {
    for (const value of synonymsOf(place.format)) {
      const { method } = place.operation
      const { path, ...request } = requestOf(place, value)
      const { status, json } = await send(method, path, request)
      // An organisation that nobody has is the same as one that the caller does not belong to.
      const refused = status === 400 ? isAbout(json, place.name) : json?.error === 'ORG_NOT_FOUND'
      if (!refused) t.fail(`${method} ${path} with ${place.name} ${JSON.stringify(value)}: ${status}`, json)
    }
  }
})

t.test('rejects the synonyms of a UUID in the lines of an import', async (t) => {
  const lines = synonymsOf('uuid').map((project_id, i) => JSON.stringify({ id: `line-${i}`, amount: 1, project_id }))
  const { json } = await send('POST', '/api/v1/orders/import', {
    headers: { ...headers, 'content-type': 'application/x-ndjson' },
    body: [...lines, JSON.stringify({ id: 'right', amount: 1 })].join('\n'),
  })
  t.match(json, { placed_count: 1, refused_count: lines.length, failure: undefined })
})

t.test('accepts a UUID in upper case as the same id', async (t) => {
  const project = await send('POST', `/api/v1/orgs/${guest.org.id}/projects`, {
    headers,
    body: { name: 'A', slug: 'a' },
  })
  const id = project.json.id.toUpperCase()
  t.match(await send('GET', `/api/v1/projects/${id}`, { headers }), { status: 200, json: { id: project.json.id } })
  const placed = await send('POST', '/api/v1/orders', { headers, body: { amount: 1, project_id: id } })
  t.match(placed, { status: 201, json: { project_id: project.json.id } })
  const found = await send('GET', `/api/v1/orders?project_id=${id}`, { headers })
  t.equal(found.json.data.length, 1)
})

t.test('states that a time is a leap second', async (t) => {
  const { status, json } = await send('GET', '/api/v1/orders?created_from=2016-12-31T23:59:60Z', { headers })
  t.equal(status, 400)
  t.match(json, { errors: [{ path: '/created_from', message: 'must not be a leap second' }] })
})
