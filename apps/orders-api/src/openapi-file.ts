import { readFile, writeFile } from 'node:fs/promises'
import type { DeadLetters, Orders, People, Webhooks } from '@orders/orders'
import Fastify from 'fastify'
import { app } from './app.ts'
import { readConfig } from './config.ts'
import { serverOptions } from './server-options.ts'

const usage = 'Say what to do with the committed OpenAPI document: --write or --check, and its path if it is another.'

/** Instead of use cases that need a database. */
export const standIns = {
  orders: { idle: async () => {} } as Orders,
  people: {} as People,
  webhooks: {} as Webhooks,
  deadLetters: {} as DeadLetters,
}

/** The OpenAPI document of the service as it is committed. Opens no database: routes are described, never called. */
export async function openapiText(): Promise<string> {
  const config = readConfig({ DATABASE_URL: 'postgresql://localhost/orders', LOG_LEVEL: 'silent' })
  const server = Fastify(serverOptions(config))
  await app(server, config, standIns)
  await server.ready()
  const text = `${JSON.stringify(sorted(server.swagger()), null, 2)}\n`
  await server.close()
  return text
}

/** The same document in one order, whatever order the routes are registered in. */
function sorted(document: object): object {
  const byName = (part: object = {}) => Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  const { paths, components, ...rest } = document as { paths?: object; components?: { schemas?: object } }
  return { ...rest, paths: byName(paths), components: { ...components, schemas: byName(components?.schemas) } }
}

async function check(file: URL | string): Promise<void> {
  const committed = await readFile(file, 'utf8').catch(() => '')
  if (committed === (await openapiText())) return
  console.error('The committed OpenAPI document is not that of the routes: run npx nx run orders-api:update-openapi.')
  process.exitCode = 1
}

if (import.meta.main) {
  const [task, path] = process.argv.slice(2)
  const file = path ?? new URL('../openapi.json', import.meta.url)
  if (task === '--write') await writeFile(file, await openapiText())
  else if (task === '--check') await check(file)
  else {
    console.error(usage)
    process.exitCode = 1
  }
}
