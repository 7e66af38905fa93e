// The development runner: a database for a newcomer, server and worker, and new ones after each change of a source. It
// prints only progress and faults; the server says when it is ready.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { EmbeddedPostgresError, explainSystemError } from '@orders/database/embedded'
import { SettingsError } from '@orders/runtime'
import { newGuestKeys } from './access/guest-tokens.ts'
import { type Config, readConfig } from './config.ts'
import { watchAncestors } from './serve/ancestors.ts'
import { type LocalDatabase, openLocalDatabase } from './serve/database.ts'
import { type ServerExit, type ServerProcess, startServer } from './serve/server-process.ts'
import { watchSources } from './serve/watch-sources.ts'

const root = join(import.meta.dirname, '../../..')
const sources = ['apps/orders-api/src', 'apps/orders-worker/src', 'packages/*/src', 'packages/database/migrations']
const args = process.argv.slice(2)
const hasDatabase = Boolean(process.env.DATABASE_URL || process.env.DATABASE_URL_FILE)

/** Settles with the exit code once someone asks this process to end. */
const asked = Promise.withResolvers<number>()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => asked.resolve(0))
// Whoever reads our output may be killed before us.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
await watchAncestors(() => asked.resolve(1))

process.exit(await (args.includes('--help') ? help() : serve()))

async function help(): Promise<number> {
  return (await startServer(args, process.env).exited).code
}

async function serve(): Promise<number> {
  let database: LocalDatabase | null = null
  try {
    const { CONTEXT_KEY: contextKey } = readSettings()
    if (!hasDatabase) {
      const opening = openLocalDatabase(join(root, '.data/postgres'), { contextKey, say, onLost: fail })
      const opened = await Promise.race([opening, asked.promise])
      if (typeof opened === 'number') return opened
      database = opened
    }
    return await keepServing(database)
  } catch (error) {
    return report(error)
  } finally {
    await database?.stop()
  }
}

/** Reads all settings before anything is started. Throws a SettingsError that names every wrong one. */
function readSettings(): Config {
  return readConfig({ ...process.env, ...(!hasDatabase && { DATABASE_URL: 'postgresql://localhost/orders' }) })
}

/** Runs one server after another until someone asks to stop, the first cannot run, or one is killed. */
async function keepServing(database: LocalDatabase | null): Promise<number> {
  const changes = watchSources(
    sources.map((folder) => join(root, folder)),
    (error) => say(`Changes are not seen: ${error.message}.`),
  )
  for (let first = true; ; first = false) {
    const changed = changes.next()
    const server = await startMigrated(database)
    const event = await Promise.race([asked.promise, changed, server.exited])
    await server.stop()
    if (typeof event === 'number') return event
    if (!event) continue
    if (event.signal) {
      say(`The server was killed by ${event.signal}: start it again with npm start.`)
      return 1
    }
    // Code 0: someone asked the server itself to end, as task runners do that signal a whole tree of processes.
    if (first || event.code === 0) return event.code
    say(`The server ended with code ${event.code}: the next change starts it again.`)
    const code = await Promise.race([asked.promise, changed])
    if (typeof code === 'number') return code
  }
}

async function startMigrated(database: LocalDatabase | null): Promise<ServerProcess> {
  try {
    await Promise.race([database?.migrate(), asked.promise])
  } catch (error) {
    const exit: ServerExit = { code: report(error), signal: null }
    return { exited: Promise.resolve(exit), stop: async () => {} }
  }
  // A restart need not drain for clients that wait: there is no other server to send them to. And a developer's own
  // receivers are on this machine.
  const env = {
    DRAIN_DELAY_MS: '0',
    WEBHOOKS_ALLOW_LOOPBACK: 'true',
    ...process.env,
    ...(await localGuestKeys()),
    ...(database && { DATABASE_URL: database.url }),
  }
  return startServer(args, env)
}

/** A key for guests' tokens, made once for this checkout; where tokens are required, the settings must name another. */
async function localGuestKeys(): Promise<NodeJS.ProcessEnv> {
  const { GUEST_KEYS, GUEST_KEYS_FILE, AUTH_MODE } = process.env
  if (GUEST_KEYS || GUEST_KEYS_FILE || AUTH_MODE === 'required') return {}
  const file = join(root, '.data/guest-keys.json')
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, await newGuestKeys(), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    // Of two first starts at once, one makes it.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw explainSystemError(error, dirname(file))
  }
  return { GUEST_KEYS_FILE: file }
}

function fail(error: unknown): void {
  asked.resolve(report(error))
}

function report(error: unknown): number {
  const isExplained = error instanceof EmbeddedPostgresError || error instanceof SettingsError
  say(isExplained ? error.message : ((error as Error).stack ?? String(error)))
  return 1
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
