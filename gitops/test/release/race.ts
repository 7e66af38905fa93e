import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { releasePath } from '../../src/release/environments.ts'
import { readRelease } from '../../src/release/release-file.ts'
import { git } from './repository.ts'

/** How one command of a race ended. */
export type Outcome = { args: string[]; done: boolean; said: string }

/** Deals the commands out to as many processes as there are clones, runs them all at once, and answers when all ended. */
export async function race(clones: string[], commands: string[][]): Promise<Outcome[]> {
  const shares = clones.map((_, lane) => commands.filter((_, index) => index % clones.length === lane))
  const outcomes = await Promise.all(clones.map((clone, lane) => runShare(clone, shares[lane] ?? [])))
  return outcomes.flat()
}

async function runShare(clone: string, share: string[][]): Promise<Outcome[]> {
  const script = join(import.meta.dirname, 'bump-many.ts')
  const child = spawn(process.execPath, [script, clone], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(share.map((args) => `${JSON.stringify(args)}\n`).join(''))
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')])
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** What a branch says about an environment's releases, oldest first: the commit and the digest of each. */
export function releases(origin: string, branch = 'main'): { commit: string; digest: string }[] {
  const path = releasePath('dev')
  const commits = git(origin, ['log', '--reverse', '--format=%H', branch, '--', path]).split('\n')
  return commits.flatMap((at) => {
    const { commit, images } = readRelease(git(origin, ['show', `${at}:${path}`]), path)
    const digest = images[0]?.digest
    return commit === undefined || digest === undefined ? [] : [{ commit, digest }]
  })
}

/** How often a release was followed by one that does not come from it, and which of `digests` never stood there. */
export function judge(origin: string, sources: string[], digests: string[], branch = 'main') {
  const history = releases(origin, branch)
  const order = history.map(({ commit }) => sources.indexOf(commit))
  return {
    landed: history.length,
    olderOverNewer: order.filter((place, index) => place < (order[index - 1] ?? 0)).length,
    lost: digests.filter((wanted) => !history.some(({ digest }) => digest === wanted)),
    last: history.at(-1),
  }
}
