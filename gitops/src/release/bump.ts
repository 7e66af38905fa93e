import { admit, type Candidate, refuseForeign } from './admission.ts'
import { type Environment, releasePath } from './environments.ts'
import { refuseMissing } from './image-check.ts'
import { by, type Edit, type Place, publish, short } from './publish.ts'
import { Refusal } from './refusal.ts'
import { describe, readRelease, sameRelease, writeRelease } from './release-file.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * Makes an environment ask for images built from a commit. Answers with one sentence; throws a Refusal for a commit that
 * is older than what stands there, unknown, quarantined, or has skipped an environment.
 */
export async function bump(place: Place, env: Environment, candidate: Candidate): Promise<string> {
  const { commit } = await publish(place, async (main) => {
    await refuseForeign(main, candidate)
    return placeRelease(main, env, candidate)
  })
  const asks = `${env} asks for ${short(candidate.commit)}`
  return commit === undefined ? `${asks} already: nothing to write.` : `${asks}, ${by(place, commit)}.`
}

/** The edit that makes `env` ask for `candidate`. Throws a Refusal when it may not. */
export async function placeRelease(main: Snapshot, env: Environment, candidate: Candidate): Promise<Edit> {
  const path = releasePath(env)
  const text = await main.read(path)
  const current = readRelease(text, path)
  const names = candidate.images.map(({ name }) => name)
  if (!sameRelease(current, candidate)) {
    const missing = current.images.find(({ name }) => !names.includes(name))
    if (missing !== undefined) {
      throw new Refusal(`${env} runs ${missing.name} too: give one --image for each image of the commit`)
    }
    await admit(main, env, current, candidate)
    await refuseMissing(candidate.images)
  }
  return {
    files: { [path]: sameRelease(current, candidate) && text ? text : writeRelease(text, path, candidate) },
    subject: `Release ${names.join(', ')} ${short(candidate.commit)} to ${env}`,
    body: [...candidate.images.map((image) => `Image: ${describe(image)}`), `Source: ${candidate.commit}`].join('\n'),
  }
}
