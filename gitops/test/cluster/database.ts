import { randomBytes } from 'node:crypto'
import { chown, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '@orders/database/embedded'
import pg from 'pg'
import type { Test } from 'tap'
import type { Issued } from './certificates.ts'
import type { Manifest } from './manifests.ts'

/**
 * A PostgreSQL set up as the operator would from the manifest of its Cluster: owner, SQL after the start, who may come
 * in how, TLS with the given certificate. The superuser comes in by password, as no one does in a cluster.
 */
export async function startFromManifest(t: Test, cluster: Manifest, server: Issued) {
  const dataDir = join(tmpdir(), `orders-test-${process.pid}-${randomBytes(4).toString('hex')}`)
  const postgres = await startEmbeddedPostgres({ dataDir, disposable: true })
  const admin = new pg.Client(postgres.url)
  admin.on('error', () => {})
  t.teardown(async () => {
    await admin.end()
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  await admin.connect()

  const { bootstrap, postgresql } = cluster.spec
  const { owner, database, postInitApplicationSQL } = bootstrap.initdb
  await admin.query(`CREATE ROLE ${owner} LOGIN`)
  await admin.query(`ALTER DATABASE ${database} OWNER TO ${owner}`)
  for (const statement of postInitApplicationSQL) await admin.query(statement)

  const { uid, gid } = await stat(dataDir)
  for (const [name, pem] of Object.entries(server)) {
    await writeFile(join(dataDir, name), pem, { mode: 0o600 })
    await chown(join(dataDir, name), uid, gid)
  }
  const hba = join(dataDir, 'pg_hba.conf')
  const lines = [`host all ${new URL(postgres.url).username} 127.0.0.1/32 scram-sha-256`, ...postgresql.pg_hba]
  await writeFile(hba, `${lines.join('\n')}\n`)
  const settings = { ssl: 'on', ssl_cert_file: 'tls.crt', ssl_key_file: 'tls.key', ssl_ca_file: 'ca.crt' }
  for (const [name, value] of Object.entries({ ...postgresql.parameters, ...settings })) {
    await admin.query(`ALTER SYSTEM SET ${name} = '${value}'`)
  }
  await admin.query('SELECT pg_reload_conf()')
  return { admin, port: Number(new URL(postgres.url).port), name: database as string, owner: owner as string }
}
