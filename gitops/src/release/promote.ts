import type { Candidate } from './admission.ts'
import { placeRelease } from './bump.ts'
import { before, type Environment, releasePath, stages } from './environments.ts'
import { by, type Place, publish, short } from './publish.ts'
import { Refusal } from './refusal.ts'
import { readRelease, sameRelease } from './release-file.ts'

/**
 * Makes `to` ask for exactly what `from` asks for, which must be the environment right before it. `expected` is the
 * commit that `from` was seen to run well; anything else there is refused. Answers with one sentence.
 */
export async function promote(place: Place, from: Environment, to: Environment, expected?: string): Promise<string> {
  if (before(to) !== from) throw new Refusal(wrongWay(from, to))
  let chosen: Candidate | undefined
  const { commit } = await publish(place, async (main) => {
    const path = releasePath(from)
    const { commit: source, images } = readRelease(await main.read(path), path)
    if (source === undefined) throw new Refusal(`${from} has no release yet: bump it first`)
    const found = { commit: source, images }
    if (expected !== undefined && source !== expected) {
      throw new Refusal(`${from} asks for ${short(source)}, not ${short(expected)}: promote again once that runs well`)
    }
    // Another writer was first: what is there now is not what was meant to be promoted.
    if (chosen !== undefined && !sameRelease(chosen, found)) {
      throw new Refusal(`${from} has changed to ${short(source)} meanwhile: promote again once that runs well`)
    }
    chosen = found
    return placeRelease(main, to, found)
  })
  const asks = `${to} asks for ${short(chosen?.commit)}, as ${from} does`
  return commit === undefined ? `${asks}, already: nothing to write.` : `${asks}, ${by(place, commit)}.`
}

function wrongWay(from: Environment, to: Environment): string {
  const earlier = before(to)
  if (earlier === undefined) return `nothing is promoted to ${to}: a release passes ${stages.join(', ')} in this order`
  return `a release comes to ${to} from ${earlier}, not from ${from}: promote from ${earlier} to ${to}`
}
