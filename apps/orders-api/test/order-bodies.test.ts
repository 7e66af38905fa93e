import t from 'tap'
import { startService } from './service.ts'

const { send, place } = await startService(t)
const read = async (id: string) => (await send('GET', `/orders/${id}`)).json
const raw = (body: string) => send('POST', '/orders', { body, headers: { 'content-type': 'application/json' } })

t.test('ids, names and sizes are as documented; the path of a fault is told', async (t) => {
  for (const id of ['a', '0', 'A.b_c-d', 'x'.repeat(64), 'a..'])
    t.equal((await place({ id, amount: 1 })).status, 201, id)
  for (const id of ['', '.a', '-a', '_a', 'a b', 'a/b', 'é', 'x'.repeat(65), 'stats', 'export', 'import', 'stream']) {
    t.match((await place({ id, amount: 1 })).json, { error: 'VALIDATION_FAILED', errors: [{ path: '/id' }] }, id)
  }
  const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']))
  for (const metadata of [
    {},
    pairs(50),
    { ['x'.repeat(64)]: 'y'.repeat(500) },
    { 'a/b~c': '', constructor: 'x', toString: 'y' },
  ]) {
    const { status, json } = await place({ amount: 1, metadata })
    t.equal(status, 201)
    t.same((await read(json.id)).metadata, metadata)
  }
  const long = { ['x'.repeat(65)]: 'y' }
  for (const metadata of [
    pairs(51),
    long,
    { a: 'y'.repeat(501) },
    { '': 'x' },
    { a: 1 },
    { a: { b: 'c' } },
    [],
    null,
    'x',
  ]) {
    t.match((await place({ amount: 1, metadata })).json, {
      error: 'VALIDATION_FAILED',
      errors: [{ path: /^\/metadata/ }],
    })
  }
  const { json } = await place({ amount: 1, nope: 1 })
  t.match(json, { error: 'VALIDATION_FAILED', errors: [{ path: '/nope', message: 'is not known here' }] })
  t.equal((await place({ amount: 1, description: 'x'.repeat(2000) })).status, 201)
  t.equal((await place({ amount: 1, description: 'x'.repeat(2001) })).status, 400)
  t.match((await place({ amount: 1 })).json.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
})

t.test('JSON of more than one meaning is refused', async (t) => {
  const bodies = [
    '',
    ' ',
    '{"amount":1',
    '{"amount":1}x',
    '\ufeff\ufeff{"amount":1}',
    "{'amount':1}",
    '{"amount":1,}',
    '{"amount":NaN}',
  ]
  const doubled = [
    '{"amount":1,"amount":1}',
    '{"\\u0061mount":1,"amount":1}',
    '{"amount":1,"metadata":{"a":"1","a":"2"}}',
  ]
  const names = ['{"amount":1,"__proto__":{}}', '{"amount":1,"metadata":{"__proto__":"x"}}']
  const texts = ['"\\u0000"', '"\\u001f"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u007f"'].map(
    (text) => `{"amount":1,"description":${text}}`,
  )
  const deep = [
    `{"amount":1,"x":${'['.repeat(5000)}${']'.repeat(5000)}}`,
    '['.repeat(5000),
    `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`,
  ]
  const wide = [
    `{${Array.from({ length: 1001 }, (_, i) => `"${i}":1`)}}`,
    `{"x":[${Array.from({ length: 201 }, () => 1)}]}`,
  ]
  for (const body of [...bodies, ...doubled, ...names, ...texts, ...deep, ...wide]) {
    const { status, json } = await raw(body)
    t.match({ status, json }, { status: 400, json: { error: 'JSON_INVALID' } }, body.slice(0, 40))
  }
  const bytes = Buffer.concat([Buffer.from('{"amount":1,"description":"'), Buffer.from([0xff]), Buffer.from('"}')])
  const answer = await send('POST', '/orders', { body: bytes, headers: { 'content-type': 'application/json' } })
  t.equal(answer.json.error, 'JSON_INVALID')
})
