import { errorCatalogue } from '@orders/schema'
import fc from 'fast-check'
import type { Operation } from './document.ts'
import { rightBody, rightQuery, textOf, wrongQuery } from './values.ts'
import { oddPaths, render, wrongBodies, wrongContentTypes } from './wrong.ts'

/** What must come of a request: `accept` a 2xx (or a conflict with what is there), `refuse` a 4xx, `any` either. */
export type Expectation = 'accept' | 'refuse' | 'any'

export type Case = {
  what: string
  method: string
  path: string
  headers: Record<string, string>
  body: string | Buffer | undefined
  expect: Expectation
  statuses: number[]
}

/** Orders that are there before the first request; placed ones have other ids. */
export const knownIds = Array.from({ length: 20 }, (_, i) => `known-${i}`)

const nobody = '01234567-89ab-7cde-8f01-23456789abcd'
const keys = textOf('AZaz09_-', 30, 40)

const pair = ([name, value]: readonly [string, string]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`

/** Who sends the requests: a guest who owns an organisation. */
export type Sender = { org: string; user: string }

/** Requests to one route: right ones, and ones that are wrong in exactly one place. */
function requestsTo(operation: Operation, { org, user }: Sender): fc.Arbitrary<Case> {
  const { method, body: schema, statuses, parameters } = operation
  const wrongBody = schema && wrongBodies(schema)
  const query = parameters.filter((parameter) => parameter.in === 'query')
  // An export is as long as all that the run has placed, and has tests of its own.
  const rightWeight = operation.path.endsWith('/export') ? 0 : schema ? 8 : 3
  const isOfOrders = operation.path.startsWith('/api/v1/orders')
  const isFree = /\/import$|\/stats$|\/(projects|webhooks|deliveries|dead-letters)\/\{id\}/.test(operation.path)
  // What a guest may do with the own organisation; the rest depends on what is there.
  const isOwn = (at: string) =>
    isOfOrders || (/GET|POST/.test(method) && !at.includes(nobody) && !/\/x(\/|$)|urn:/.test(at))
  const base = fc
    .record({
      prefix: fc.constantFrom('/api/v1', isOfOrders ? '' : '/api/v1'),
      id: isOfOrders
        ? fc.oneof(fc.constantFrom(...knownIds), fc.constant('nobody'))
        : fc.constantFrom(org, org, nobody, 'x', `urn:uuid:${org}`),
      user: fc.constantFrom(user, nobody, 'x', `urn:uuid:${user}`),
      key: fc.option(keys, { freq: 3 }),
      body: schema ? rightBody(schema) : fc.constant(undefined),
      query: fc
        .subarray(query)
        .map((some) => query.filter((one) => one.required || some.includes(one)))
        .chain((some) => fc.tuple(...some.map((one) => rightQuery(one).map((value) => [one.name, value] as const)))),
    })
    .map(({ prefix, id, user, key, body, query }) => ({
      at: operation.path
        .replace(/^\/api\/v1/, prefix)
        .replace(/\{id\}|\{org_id\}/, id)
        .replace('{user_id}', user),
      query: query.filter(([name]) => name !== 'cursor'),
      headers: {
        ...(method === 'PATCH' && { 'if-match': '*' }),
        ...(schema && { 'content-type': 'application/json' }),
        ...(key && schema && method === 'POST' && { 'idempotency-key': key }),
      } as Record<string, string>,
      body,
    }))
  type Base = typeof base extends fc.Arbitrary<infer B> ? B : never
  const made = (what: string, expect: Expectation, from: Base, change: Partial<Case> = {}): Case => ({
    what,
    method,
    path: [from.at, from.query.map(pair).join('&')].filter(Boolean).join('?'),
    headers: from.headers,
    body: from.body && render(from.body),
    expect,
    statuses,
    ...change,
  })
  const wrongParameter = query.flatMap((parameter) =>
    wrongQuery(parameter).map((value) => [parameter.name, value] as const),
  )
  return base.chain((from) => {
    const choices = [
      {
        arbitrary: fc.constant(made('right', isFree || !isOwn(from.at) ? 'any' : 'accept', from)),
        weight: rightWeight,
      },
    ]
    const add = (weight: number, arbitrary: fc.Arbitrary<Case>) => choices.push({ arbitrary, weight })
    const extra = (name: string, value: string) =>
      `${from.at}?${[...from.query.filter(([other]) => other !== name), [name, value] as const].map(pair).join('&')}`
    if (wrongBody && from.body) {
      add(
        14,
        wrongBody(from.body).map((body) => made('wrong body', 'refuse', from, { body })),
      )
      add(
        1,
        fc
          .constantFrom(...wrongContentTypes)
          .map((type) =>
            made('wrong content type', 'refuse', from, { headers: { ...from.headers, 'content-type': type } }),
          ),
      )
      add(
        1,
        fc
          .constantFrom('gzip', 'br', 'x')
          .map((coding) => made('coded', 'refuse', from, { headers: { ...from.headers, 'content-encoding': coding } })),
      )
    }
    if (from.headers['idempotency-key']) {
      add(
        1,
        fc
          .constantFrom('short', 'x'.repeat(256), 'has a space in its middle', '!'.repeat(20), '')
          .map((key) => made('wrong key', 'refuse', from, { headers: { ...from.headers, 'idempotency-key': key } })),
      )
    }
    if (method === 'PATCH')
      add(
        2,
        fc
          .constantFrom('"0"', 'W/"1"', '1', '', '"')
          .map((tag) => made('stale', 'refuse', from, { headers: { ...from.headers, 'if-match': tag } })),
      )
    if (query.length > 0) {
      add(
        4,
        fc
          .constantFrom(...wrongParameter)
          .map(([name, value]) => made('wrong parameter', 'refuse', from, { path: extra(name, value) })),
      )
      add(
        1,
        fc
          .constantFrom(...query)
          .map(({ name }) => made('repeated parameter', 'refuse', from, { path: `${extra(name, '1')}&${name}=1` })),
      )
      add(
        1,
        fc
          .constantFrom('x', '__proto__', 'constructor', 'Limit', 'limit[]', '')
          .map((name) => made('unknown parameter', name ? 'refuse' : 'any', from, { path: extra(name, '1') })),
      )
    }
    add(
      1,
      fc
        .constantFrom(9000, 20_000)
        .map((size) =>
          made('huge header', 'refuse', from, { headers: { ...from.headers, 'x-huge': 'x'.repeat(size) } }),
        ),
    )
    return fc.oneof(...choices)
  })
}

const anyRefusal = [...new Set(Object.values(errorCatalogue).map(({ status }) => status))].filter(
  (status) => status < 500,
)

/** Addresses and methods that no route has. */
const oddRequests: fc.Arbitrary<Case> = fc
  .record({
    method: fc.constantFrom(
      'GET',
      'HEAD',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'TRACE',
      'PROPFIND',
      'QUERY',
      'M-SEARCH',
      'LOCK',
    ),
    path: fc.oneof(
      fc.constantFrom(...oddPaths),
      fc.constantFrom('/orders', '/api/v1/orders', '/orders/known-1', '/health', '/orders/known-1/confirm'),
    ),
    body: fc.constantFrom(undefined, '{}', '{"amount":', 'x'.repeat(70_000)),
  })
  .map(({ method, path, body }) => ({
    what: 'odd',
    method,
    path,
    body,
    expect: 'any' as const,
    statuses: [200, 201, ...anyRefusal],
    headers: body === undefined ? {} : ({ 'content-type': 'application/json' } as Record<string, string>),
  }))

export function requests(operations: Operation[], sender: Sender): fc.Arbitrary<Case> {
  const weight = ({ body, path }: Operation) =>
    body && path.endsWith('/orders') ? 12 : body || path.endsWith('/orders') ? 5 : 1
  return fc.oneof(
    ...operations.map((operation) => ({ arbitrary: requestsTo(operation, sender), weight: weight(operation) })),
    {
      arbitrary: oddRequests,
      weight: 3,
    },
  )
}
