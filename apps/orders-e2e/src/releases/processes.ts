import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Service, startService, startWorker, type Test } from '../faults/service-process.ts'

const run = promisify(execFile)

/** An API process and a worker, each of a release by its root folder. */
export type Pair = { url: string; stop(): Promise<void> }

/** Brings a database up to the schema of a release. Rejects with what its migrations print. */
export async function migrate(root: string, url: string): Promise<void> {
  const program = join(root, 'packages/database/src/migrate-cli.ts')
  await run(process.execPath, [program], { env: { PATH: process.env.PATH, DATABASE_URL: url } })
}

/** Starts an API process and a worker on one database, and stops them with the test at the latest. */
export async function startPair(
  t: Test,
  database: string,
  roots: { api: string; worker: string },
  settings: Record<string, string> = {},
): Promise<Pair> {
  const worker = startWorker({ ...settings, DATABASE_URL: database }, roots.worker)
  const api = startService({ ...settings, DATABASE_URL: database, DRAIN_DELAY_MS: '0' }, roots.api)
  const processes = [api, worker]
  t.teardown(() => end(processes, 'SIGKILL'))
  return { url: await api.ready(), stop: () => end(processes, 'SIGTERM') }
}

/** Starts one process of a release that must refuse to start, and returns its exit code and what it prints. */
export async function startRefused(
  kind: 'api' | 'worker',
  database: string,
  root: string,
): Promise<{ code: number | null; printed: string }> {
  const start = { api: startService, worker: startWorker }[kind]
  const { exited, output } = start({ DATABASE_URL: database }, root)
  const { code } = await exited
  return { code, printed: output.stderr.trim() }
}

async function end(processes: Service[], signal: NodeJS.Signals): Promise<void> {
  for (const one of processes) one.kill(signal)
  await Promise.all(processes.map(({ exited }) => exited))
}
