import fc from 'fast-check'
import type { Schema } from './document.ts'
import { synonymsOf } from './formats.ts'

/** A JSON object as text, part by part, so that it can hold what JSON.stringify never writes. */
export type Members = [name: string, text: string][]

export const render = (members: Members) =>
  `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`

const nest = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const manyKeys = `{${Array.from({ length: 90_000 }, (_, i) => `"k${i}":1`).join(',')}}`
const badStrings = ['"\\u0000"', '"a\\u0001b"', '"\\ud800"', '"\\udfff\\ud83d"', '"\\u007f"', `"${'x'.repeat(2001)}"`]
const badNumbers = [
  '12345678901234567',
  '0.30000000000000004',
  '9007199254740993',
  '1e21',
  '1e400',
  '1e-400',
  '-0',
  '-1',
]
const notJson = ['01', '+1', '.5', '1.', '0x10', 'NaN', 'Infinity', 'undefined', "'x'", '"\u0000"', '"\n"', '']

/** Texts that are no value of the schema, above all those that a lenient reader turns into one. */
export function wrongValues(schema: Schema): string[] {
  const types = [schema.type].flat()
  const coercible = {
    number: ['"12"', 'true', 'false', '[5]', '"1e2"', '" 1"', '""', '{}', ...badNumbers],
    string: ['12', 'true', '["a"]', '{}', '0', 'false', ...badStrings],
    object: ['[]', '"x"', '1', 'true', '{"a":1}', '{"a":null}', '{"a":{"b":"c"}}', '{"a":["b"]}', '{"":"x"}'],
    array: ['"x"', '{}', '1', 'true', '[]', '["x"]', '[1]', '[null]', '[["orders.order.placed.v1"]]'],
    boolean: ['"true"', '1', '0', '""', '[]', '{}'],
  }[types[0] as string]
  const empty = types.includes('null') ? [] : ['null']
  const outside = schema.enum ? ['"eur"', '"XXX"', '"toString"', '""'] : []
  const isWrong = (text: string) => !new RegExp(schema.pattern).test(JSON.parse(text))
  const unmatched = schema.pattern
    ? ['""', '"-a"', '"a b"', '"../x"', `"${'a'.repeat(65)}"`, '"stats"'].filter(isWrong)
    : []
  const misspelt = schema.format ? synonymsOf(schema.format).map((value) => JSON.stringify(value)) : []
  return [...(coercible ?? []), ...misspelt, ...empty, ...outside, ...unmatched, ...notJson, nest(40)]
}

const unknown: Members = [
  ['unknown', '1'],
  ['Amount', '1'],
  ['status', '"completed"'],
  ['org_id', '"x"'],
  ['version', '1'],
  ['__proto__', '{"amount":1}'],
  ['constructor', '{"prototype":{}}'],
  ['prototype', '{}'],
  ['', '1'],
  ['deep', nest(5000)],
  ['deep', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`],
]

const huge = fc.constantFrom(manyKeys, nest(5000), `{"amount":1,"x":"${'y'.repeat(70_000)}"}`)

/** Makes a right body wrong in one way, such that nobody can mistake it for another right one. */
export function wrongBodies(schema: Schema): (right: Members) => fc.Arbitrary<string | Buffer> {
  const properties = Object.entries<Schema>(schema.properties)
  const member = fc.constantFrom(
    ...properties.flatMap(([name, property]) => wrongValues(property).map((value): Members[0] => [name, value])),
  )
  const stranger = fc.constantFrom(...unknown)
  const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const needed: string[] = schema.required ?? []
  const without = (members: Members, gone: string) => members.filter(([name]) => name !== gone)
  return (right) => {
    const text = render(right)
    const spoil = (bytes: Buffer, at: number) =>
      Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at)])
    const around = [`[${text}]`, `${text}${text}`, `${text}x`]
    return fc.oneof(
      { arbitrary: member.map((wrong) => render([...without(right, wrong[0]), wrong])), weight: 12 },
      { arbitrary: stranger.map((wrong) => render([...right, wrong])), weight: 4 },
      { arbitrary: fc.constantFrom(...right).map((again) => render([...right, again])), weight: 2 },
      { arbitrary: place.map((part) => text.slice(0, part * text.length)), weight: 2 },
      { arbitrary: place.map((part) => spoil(Buffer.from(text), 1 + part * (text.length - 1))), weight: 2 },
      ...needed.map((gone) => ({ arbitrary: fc.constant(render(without(right, gone))), weight: 1 })),
      { arbitrary: fc.constantFrom('null', '[]', '1', '"x"', 'true', '', ' ', ...around), weight: 1 },
      { arbitrary: huge, weight: 1 },
    )
  }
}

export const wrongContentTypes = [
  'text/plain',
  'application/jsonx',
  'application/json, text/plain',
  'application/json;charset=latin1',
  'application/json; charset="utf-16"',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application',
  ';',
]

/** Percent-encodings, dots, slashes and sizes that are no id and no route. */
export const oddPaths = [
  ...['/%', '/%zz', '/orders/%', '/orders/%E0%A4%A', '/orders/%ff', '/orders/%00', '/orders/a%2Fb', '/orders/a%20b'],
  ...['//', '//orders', '/orders//', '/./orders', '/orders/../orders', '/orders;a=b', '/Orders', '/orders.json', '*'],
  ...[
    '/orders/-x',
    '/orders/.x',
    '/orders/x/',
    '/orders/x/y',
    '/orders/x/confirm/',
    '/orders/x/confirm/y',
    '/__proto__',
  ],
  ...['/constructor', '/api', '/api/v1', '/api/v1/', '/api/v2/orders', '/orders/%F0%9F%92%A9', '/docs/static/../../x'],
  ...[
    '/docs/static/%2e%2e%2fx',
    '/errors/nope',
    '/errors/%00',
    '/errors/__proto__',
    '/health/',
    '/metrics/x',
    '/readyz%00',
  ],
  ...[65, 100, 101, 1000, 9000].map((length) => `/orders/${'a'.repeat(length)}`),
]
