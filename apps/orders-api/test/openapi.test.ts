// biome-ignore-all lint/suspicious/noExplicitAny: an OpenAPI document is read as it comes
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { errorCatalogue } from '@orders/schema'
import { Validator } from '@seriousme/openapi-schema-validator'
import Fastify, { type FastifySchema } from 'fastify'
import t from 'tap'
import { may } from '../src/access/rules.ts'
import { app } from '../src/app.ts'
import { readConfig } from '../src/config.ts'
import { openapiText, standIns } from '../src/openapi-file.ts'
import { serverOptions } from '../src/server-options.ts'
import { startService } from './service.ts'

const offline = readConfig({ DATABASE_URL: 'postgresql://localhost/orders', LOG_LEVEL: 'silent' })
const program = new URL('../src/openapi-file.ts', import.meta.url).pathname
const document = JSON.parse(await openapiText())
const operations = Object.entries<Record<string, any>>(document.paths).flatMap(([path, methods]) =>
  Object.entries<any>(methods).map(([method, operation]) => ({ name: `${method} ${path}`, operation })),
)

t.test('the document is valid OpenAPI 3.1, and the validator notices what is not', async (t) => {
  t.match(document.openapi, /^3\.1\./)
  t.same(await new Validator().validate(structuredClone(document)), { valid: true })
  const broken = structuredClone(document)
  broken.paths['/health'].get.responses = []
  t.equal((await new Validator().validate(broken)).valid, false)
})

t.test('every operation says what it is, and every reference leads somewhere', async (t) => {
  t.ok(operations.length >= 16, `${operations.length} operations`)
  for (const { name, operation } of operations) {
    t.ok(operation.summary && operation.tags.length === 1, name)
    t.notMatch(name, /^(head|options) /)
  }
  const summaries = operations.map(({ operation }) => operation.summary)
  t.equal(new Set(summaries).size, summaries.length, 'no two operations share a summary')
  for (const [, name = ''] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    t.ok(document.components.schemas[name], name)
  }
})

t.test('every refusal is a problem document that names its codes', async (t) => {
  for (const { name, operation } of operations) {
    for (const [status, { description, content }] of Object.entries<any>(operation.responses)) {
      if (Number(status) < 400) continue
      t.ok(content?.['application/problem+json'], `${name} ${status}`)
      const codes = [...description.matchAll(/^([A-Z_]+):/gm)].map(([, code]) => code)
      if (name !== 'get /readyz') t.ok(codes.length > 0, `${name} ${status}: ${codes}`)
      for (const code of codes) t.equal(errorCatalogue[code as keyof typeof errorCatalogue].status, Number(status))
    }
  }
})

t.test('a service with a route that does not say who may call it does not start', async (t) => {
  const start = async (schema?: FastifySchema) => {
    const server = Fastify(serverOptions(offline))
    t.teardown(() => server.close())
    await app(server, offline, standIns)
    server.get('/planted', { ...(schema && { schema }) }, async () => 'for all')
    await server.ready()
  }
  await t.rejects(start(), { message: /^Routes do not declare who may call them: GET \/planted/ })
  await t.rejects(start({ 'x-roles': ['owner'] }), { message: /GET \/planted/ })
  await t.resolves(start(may.own('orders:read')))
})

t.test('every route is described once, or is an alias, a page or the description itself', async (t) => {
  const server = Fastify(serverOptions(offline))
  const routes: string[] = []
  server.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) if (name !== 'HEAD') routes.push(`${name.toLowerCase()} ${url}`)
  })
  await app(server, offline, standIns)
  await server.ready()
  await server.close()
  const hidden = /^\w+ \/($|ready$|orders|docs|openapi\.json$|ui\/|sign-(in|out)|errors|assets\/|favicon|errors)/
  const described = routes.filter((route) => !hidden.test(route)).map((route) => route.replace(/:(\w+)/g, '{$1}'))
  t.same(described.sort(), operations.map(({ name }) => name).sort())
  const aliases = routes.filter((route) => /^\w+ \/orders/.test(route)).map((route) => route.replace(' ', ' /api/v1'))
  t.same(aliases.sort(), routes.filter((route) => route.includes('/api/v1/orders')).sort())
})

t.test('the service serves the very document that is committed', async (t) => {
  const { send } = await startService(t)
  const { status, json } = await send('GET', '/openapi.json')
  t.equal(status, 200)
  t.same(json, document)
  t.same(JSON.parse(await readFile(new URL('../openapi.json', import.meta.url), 'utf8')), document)
})

t.test('--write makes a file that --check takes; a stale, missing or misnamed one fails in one sentence', async (t) => {
  const file = join(t.testdir(), 'openapi.json')
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [program, ...args]).then(
      () => ({ code: 0, stderr: '' }),
      ({ code, stderr }) => ({ code, stderr }),
    )
  t.match(await run('--check', file), { code: 1, stderr: /update-openapi/ })
  t.equal((await run('--write', file)).code, 0)
  t.equal((await run('--check', file)).code, 0)
  await writeFile(file, (await readFile(file, 'utf8')).replace('Place an order', 'Place orders'))
  const stale = await run('--check', file)
  t.equal(stale.code, 1)
  t.equal(stale.stderr.trim().split('\n').length, 1)
  await rm(file)
  t.match(await run('--frob'), { code: 1, stderr: /--write or --check/ })
})
