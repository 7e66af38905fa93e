import { type Environment, stages } from '../release/environments.ts'
import type { Place } from '../release/publish.ts'
import { type Status, status } from '../release/status.ts'
import { whyNot } from './runs-well.ts'

export type Proposal = { from: Environment; to: Environment; commit: string }

/** The branch of the pull request that brings a release to an environment. */
export const requestBranch = (to: Environment) => `promote/${to}`

/**
 * What may be promoted now: what an environment asks for and runs well, that the next one neither asks for nor has been
 * proposed. `say` is told why the others may not.
 */
export async function proposals(
  place: Place,
  addresses: (environment: Environment) => URL[],
  say: (line: string) => void,
): Promise<Proposal[]> {
  const asked = await status(place)
  const found: Proposal[] = []
  for (const [index, from] of stages.entries()) {
    const to = stages[index + 1]
    if (to === undefined) break
    const why = await whyKept(place, asked, from, to, addresses(from))
    const commit = releaseOf(asked, from)?.commit ?? ''
    if (why === undefined) found.push({ from, to, commit })
    say(why === undefined ? `${to}: ${commit} runs well in ${from}.` : `${to}: ${why}.`)
  }
  return found
}

const releaseOf = (list: Status[], env: Environment) => list.find(({ environment }) => environment === env)

async function whyKept(place: Place, asked: Status[], from: Environment, to: Environment, addresses: URL[]) {
  const release = releaseOf(asked, from)
  if (release === undefined || release.commit === '') return `${from} has no release yet`
  if (release.quarantined) return `${from} asks for a quarantined commit`
  if (releaseOf(asked, to)?.commit === release.commit) return `${to} asks for what ${from} asks for already`
  // A closed pull request was refused by whoever closed it; only another commit is proposed again.
  const proposed = await status({ ...place, branch: requestBranch(to) }).catch(() => [])
  if (releaseOf(proposed, to)?.commit === release.commit) return `${release.commit} is proposed already`
  if (addresses.length === 0) return `${from} has no target to look at`
  for (const address of addresses) {
    const why = await whyNot(address, release.commit)
    if (why !== undefined) return why
  }
  return undefined
}
