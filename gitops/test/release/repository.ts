import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { run } from '../../src/release/command.ts'
import { type Environment, factsPath, quarantinePath, releasePath } from '../../src/release/environments.ts'
import { type Quarantined, readQuarantine } from '../../src/release/quarantine.ts'
import { type Release, readRelease } from '../../src/release/release-file.ts'

export const registry = 'registry.example.com/orders'

/** A reference to an image that differs from all with another number. */
export function image(number: number, name = 'orders-api'): string {
  return `${registry}/${name}@${digest(number)}`
}

export function digest(number: number): string {
  return `sha256:${number.toString(16).padStart(64, 'd')}`
}

/** What `bump` is called with. */
export function bumpArgs(env: string, commit: string, number = 1): string[] {
  return ['bump', '--env', env, '--image', image(number), '--commit', commit]
}

/** The commit at a place of a list. */
export function at(list: string[], index: number): string {
  return list[index] ?? ''
}

/** Runs git in a folder and answers with its output. */
export function git(folder: string, args: string[], input?: string): string {
  return execFileSync('git', args, { cwd: folder, input: input ?? '', encoding: 'utf8', stdio: 'pipe' }).trimEnd()
}

export type Repository = ReturnType<typeof createRepository>

/**
 * A bare repository set up as the README says, with `sources` commits after the first, and a clone that knows only the
 * first. `run` runs a command in that clone; `refuses` expects one sentence, and that nothing was written.
 */
export function createRepository(t: Test, sources = 6) {
  const folder = mkdtempSync(join(tmpdir(), 'orders-release-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const origin = join(folder, 'origin.git')
  const clone = join(folder, 'clone')
  git(folder, ['init', '--quiet', '--bare', '--initial-branch=main', origin])
  git(origin, ['config', 'receive.denyNonFastForwards', 'true'])
  git(origin, ['config', 'receive.denyDeletes', 'true'])
  git(folder, ['clone', '--quiet', origin, clone])
  git(clone, ['config', 'user.name', 'Tester'])
  git(clone, ['config', 'user.email', 'tester@example.com'])
  git(clone, ['checkout', '--quiet', '-b', 'main'])
  for (const path of [factsPath, ...(['dev', 'staging', 'prod', 'local'] as const).map(releasePath)]) {
    mkdirSync(dirname(join(clone, path)), { recursive: true })
    cpSync(join(import.meta.dirname, '../../..', path), join(clone, path))
  }
  git(clone, ['add', '.'])
  git(clone, ['commit', '--quiet', '-m', 'Start'])
  git(clone, ['push', '--quiet', 'origin', 'main'])

  const read = (path: string, commit = 'main') => git(origin, ['show', `${commit}:${path}`])
  const commits = (branch: string, count: number, from?: string) => commitMany(origin, branch, count, from)
  const start = git(origin, ['rev-parse', 'main'])
  return {
    folder,
    origin,
    clone,
    start,
    sources: commits('main', sources, start),
    commits,
    run: (...args: string[]) => run(args, clone),
    bump: (env: Environment, commit: string, number: number) =>
      run(['bump', '--env', env, '--image', image(number), '--commit', commit], clone),
    release: (env: Environment): Release => readRelease(read(releasePath(env)), env),
    quarantine: (): Quarantined[] => readQuarantine(read(quarantinePath), quarantinePath),
    tip: () => git(origin, ['rev-parse', 'main']),
    /** Writes a file to a branch, as somebody else would. */
    write: (path: string, text: string, branch = 'main') => {
      const input = `commit refs/heads/${branch}\ncommitter Other <other@example.com> now\ndata 5\nOther\nfrom refs/heads/${branch}^0\nM 100644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\ndone\n`
      git(origin, ['fast-import', '--quiet', '--done', '--date-format=now'], input)
    },
    /** Makes the next push (or all) meet a script: it runs in the origin, and a failure of it refuses the push. */
    hook: (name: 'pre-receive' | 'post-receive', script: string, times: 'once' | 'always' = 'once') => {
      const file = join(origin, 'hooks', name)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `#!/bin/sh\n${times === 'once' ? `rm -f '${file}'` : ''}\n${script}\n`)
      chmodSync(file, 0o755)
    },
  }
}

/** Lets a hook write to the repository, which git forbids while it looks at a push. */
export const outsideQuarantine =
  'env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES'

/** What a rival does between our fetch and our push: main becomes the branch `rival`. */
export const rivalWins = `${outsideQuarantine} git update-ref refs/heads/main refs/heads/rival`

function commitMany(origin: string, branch: string, count: number, from?: string): string[] {
  const message = (number: number) => `Change ${number} of ${branch}`
  const input = Array.from({ length: count }, (_, index) =>
    [
      `commit refs/heads/${branch}\nmark :${index + 1}\ncommitter Dev <dev@example.com> now\n`,
      `data ${message(index + 1).length}\n${message(index + 1)}\n`,
      index === 0 && from !== undefined ? `from ${from}\n` : '',
      `M 100644 inline sources/${branch}.txt\ndata 4\n${String(index + 1).padStart(4)}\nget-mark :${index + 1}\n`,
    ].join(''),
  ).join('')
  return git(origin, ['fast-import', '--quiet', '--done', '--date-format=now'], `${input}done\n`).split('\n')
}

/** Expects a command to be refused with one sentence like `pattern`, and nothing to be written anywhere. */
export async function refuses(t: Test, repository: Repository, args: string[], pattern: RegExp): Promise<void> {
  const state = () => [repository.origin, repository.clone].map((folder) => git(folder, ['for-each-ref'])).join('\n')
  const before = state()
  const name = `${args.join(' ')} is refused`
  const error = await run(args, repository.clone).then(
    (said) => t.fail(`${name}, but said: ${said}`),
    (it) => it,
  )
  if (!(error instanceof Error)) return
  t.match(error.message, pattern, name)
  t.equal(error.constructor.name, 'Refusal', `${name} on purpose`)
  t.notMatch(error.message, /\n|[.;] /, `${name} in one sentence`)
  t.equal(state(), before, `${name} and nothing is written`)
}
