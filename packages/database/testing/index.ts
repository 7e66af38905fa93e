import { randomUUID } from 'node:crypto'
import { runOnce } from '../src/embedded/postmaster.ts'
import { migrateToLatest } from '../src/migrate.ts'
import { type Cluster, type ClusterOptions, startCluster } from './cluster.ts'

export { rebuild as rebuildStatement } from '../src/rebuild-statistics.ts'
export type { Cluster } from './cluster.ts'
export { findStatisticsDifferences } from './statistics.ts'

/** What is used of a tap test. */
interface Test {
  name: string
  teardown(fn: () => Promise<void>): void
}

export interface ScratchDatabase {
  /** Superuser's address of the database; the service steps down from it by itself. */
  url: string
  /** Superuser's address of the cluster's own database `postgres`, for statements on databases and backends. */
  adminUrl: string
  name: string
}

let shared: Promise<Cluster> | undefined
let count = 0

/**
 * Makes a database with the latest schema; `empty: true` leaves it without any. All of a test process lie in one
 * cluster, started on first use with the settings that production asserts, and gone with the process: nothing needs
 * dropping, and test files that run at the same time cannot meet. It lies in memory where there is enough: a test that
 * writes over a gigabyte takes `createCluster`.
 */
export async function createScratchDatabase(t: Test, options: { empty?: boolean } = {}): Promise<ScratchDatabase> {
  shared ??= startTemplate()
  const { url } = await shared
  const name = `scratch_${++count}_${t.name.toLowerCase().replace(/[^a-z0-9]+/g, '_')}`.slice(0, 63)
  const adminUrl = withDatabase(url, 'postgres')
  await runOnce(adminUrl, `create database "${name}" template ${options.empty ? 'template1' : 'orders'}`)
  // A copy has the default rights of a database, not those of its template.
  if (!options.empty) await runOnce(adminUrl, `revoke temporary on database "${name}" from public`)
  return { url: withDatabase(url, name), adminUrl, name }
}

/** Makes one more organisation in a database, and returns its id. */
export async function newOrganisation(url: string): Promise<string> {
  const id = randomUUID()
  await runOnce(url, `insert into organisations (id, name, slug) values ('${id}', 'Test', '${id}')`)
  return id
}

/**
 * Starts a migrated cluster on a disk for a test that kills or fills it; removed when the test ends. `durable: false`
 * turns fsync and full_page_writes off, and `configured` leaves them to ALTER SYSTEM, for tests of a service that must refuse
 * such a server.
 */
export async function createCluster(t: Test, options: Pick<ClusterOptions, 'durable'> = {}): Promise<Cluster> {
  const cluster = await startCluster(options)
  t.teardown(cluster.remove)
  await migrateToLatest(cluster.url)
  return cluster
}

async function startTemplate(): Promise<Cluster> {
  const cluster = await startCluster({ inMemory: true })
  cluster.unref()
  await migrateToLatest(cluster.url)
  return cluster
}

function withDatabase(url: string, name: string): string {
  const address = new URL(url)
  address.pathname = name
  return address.href
}
