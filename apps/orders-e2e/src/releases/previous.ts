import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The root of this repository. */
export const repository = join(import.meta.dirname, '../../../..')
const file = 'packages/database/previous-release.json'
/** The scope of the workspace's own packages. */
const scope = '@orders'

/** A release as files: `root` holds its tree, with the installed dependencies of today. */
export type Release = { commit: string; root: string; sameDependencies: boolean; remove(): void }

/** Writes the tree of the previous release into a temporary folder. Throws an Error if the clone lacks its commit. */
export function checkOutPreviousRelease(): Release {
  const { commit } = JSON.parse(readFileSync(join(repository, file), 'utf8')) as { commit: string }
  assertLanded(commit)
  const root = mkdtempSync(join(tmpdir(), 'orders-previous-release-'))
  const archive = git('archive', commit, 'apps', 'packages', 'package.json')
  execFileSync('tar', ['--extract', '--directory', root], { input: archive })
  linkDependencies(root)
  const lockFile = git('show', `${commit}:package-lock.json`)
  const sameDependencies = lockFile.equals(readFileSync(join(repository, 'package-lock.json')))
  return { commit, root, sameDependencies, remove: () => rmSync(root, { recursive: true }) }
}

/** Returns the migration that a release must know to run with the schema of this one, if the release lacks it. */
export function unsupportedMigration(release: Release): string | undefined {
  const known = new Set(migrationsOf(release.root).map((name) => name.slice(0, 4)))
  return migrationsOf(repository)
    .map((name) => /\.after-(\d{4})\.ts$/.exec(name)?.[1])
    .find((needed) => needed !== undefined && !known.has(needed))
}

const migrationsOf = (root: string) => readdirSync(join(root, 'packages/database/migrations'))

function assertLanded(commit: string): void {
  try {
    git('merge-base', '--is-ancestor', commit, 'HEAD')
  } catch (cause) {
    throw new Error(
      `${file} names ${commit}, which is not in the history of HEAD: fetch it all, or correct the file.`,
      {
        cause,
      },
    )
  }
}

/** Links every installed package, except those of the workspace, which are the release's own. */
function linkDependencies(root: string): void {
  const installed = join(repository, 'node_modules')
  const modules = join(root, 'node_modules')
  mkdirSync(modules)
  for (const name of readdirSync(installed)) {
    if (name !== scope) symlinkSync(join(installed, name), join(modules, name))
  }
  mkdirSync(join(modules, scope))
  for (const name of readdirSync(join(installed, scope))) {
    const folder = ['packages', 'apps'].find((parent) => readdirSync(join(root, parent)).includes(name))
    if (folder) symlinkSync(join(root, folder, name), join(modules, scope, name))
  }
}

const git = (...args: string[]): Buffer =>
  execFileSync('git', args, { cwd: repository, maxBuffer: 256 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] })
