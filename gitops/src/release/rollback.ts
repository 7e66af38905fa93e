import { type Environment, quarantinePath, releasePath } from './environments.ts'
import { refuseMissing } from './image-check.ts'
import { by, type Place, publish, short } from './publish.ts'
import { addQuarantined, concerns, dropQuarantined, type Quarantined, readQuarantine } from './quarantine.ts'
import { Refusal } from './refusal.ts'
import { describe, type Release, readRelease, sameImages, sameRelease, writeRelease } from './release-file.ts'
import type { Snapshot } from './snapshot.ts'

export type RollbackOptions = { to?: string | undefined; reason?: string | undefined }

/**
 * Makes an environment ask for what it asked for before (or for commit `to`, which may be short) and quarantines what it
 * leaves, in one commit. Answers with one sentence.
 */
export async function rollback(place: Place, env: Environment, { to, reason }: RollbackOptions): Promise<string> {
  let left: Release | undefined
  let target: Release | undefined
  const { commit } = await publish(place, async (main) => {
    const path = releasePath(env)
    const text = await main.read(path)
    const current = readRelease(text, path)
    // Another writer was first: what is there now is not what was seen to fail.
    if (left !== undefined && !sameRelease(left, current)) {
      throw new Refusal(`${env} has changed to ${short(current.commit)} meanwhile: roll back again if that fails too`)
    }
    left = current
    const quarantine = await main.read(quarantinePath)
    target = await earlierRelease(main, env, current, readQuarantine(quarantine, quarantinePath), to)
    await refuseMissing(target.images)
    const kept = target.images.map(({ digest }) => digest)
    const entry: Quarantined = {
      environment: env,
      ...(current.commit === undefined ? {} : { commit: current.commit }),
      // What both releases share works: it must not be locked away with what failed.
      digests: current.images.map(({ digest }) => digest).filter((digest) => !kept.includes(digest)),
      ...(reason === undefined ? {} : { reason }),
    }
    return {
      files: {
        [path]: writeRelease(text, path, target),
        [quarantinePath]: addQuarantined(quarantine, quarantinePath, entry),
      },
      subject: `Roll ${env} back from ${short(current.commit)} to ${short(target.commit)}`,
      body: [
        ...(reason === undefined ? [] : [reason]),
        ...current.images.map((image) => `Quarantined: ${describe(image)}`),
        ...target.images.map((image) => `Image: ${describe(image)}`),
        `Source: ${target.commit}`,
      ].join('\n'),
    }
  })
  return `${env} asks for ${short(target?.commit)} again, ${by(place, commit)}; ${short(left?.commit)} is quarantined.`
}

async function earlierRelease(
  main: Snapshot,
  env: Environment,
  current: Release,
  quarantined: Quarantined[],
  to: string | undefined,
): Promise<Release> {
  const path = releasePath(env)
  if (current.commit === undefined) throw new Refusal(`${env} has no release yet: there is nothing to roll back`)
  if (to !== undefined && !/^[0-9a-f]{7,40}$/.test(to)) {
    throw new Refusal(`${to} is not a commit: give 7 to 40 digits of one that status or git log shows`)
  }
  let refusal = `${env} never asked for ${to === undefined ? 'anything older' : to}: bump a commit that mends it`
  for (const { text } of await main.versions(path)) {
    const past = readRelease(text, path)
    if (past.commit === undefined || (to !== undefined && !past.commit.startsWith(to))) continue
    const named = to !== undefined
    if (quarantined.some((entry) => concerns(entry, past))) {
      if (named) refusal = `${short(past.commit)} was rolled back itself and is quarantined: choose another`
    } else if (past.commit === current.commit || !(await main.isAncestor(past.commit, current.commit))) {
      if (named) refusal = `${short(past.commit)} is not older than ${short(current.commit)}, which ${env} asks for`
    } else if (sameImages(past, current)) {
      refusal = `${short(past.commit)} runs the same image as ${short(current.commit)}, so a rollback to it changes nothing: bump a commit that mends it`
    } else return past
  }
  throw new Refusal(refusal)
}

/** Takes a commit or a digest out of quarantine. Answers with one sentence; throws a Refusal when it is not in there. */
export async function release(place: Place, what: string): Promise<string> {
  if (!/^[0-9a-f]{40}$|^sha256:[0-9a-f]{64}$/.test(what)) {
    throw new Refusal(`${what} is not a commit or a digest: give all of it, as ${quarantinePath} shows it`)
  }
  const meant = ({ commit, digests }: Quarantined) => commit === what || digests.includes(what)
  const { commit } = await publish(place, async (main) => {
    const text = await main.read(quarantinePath)
    if (text === undefined || !readQuarantine(text, quarantinePath).some(meant)) {
      throw new Refusal(`${what} is not quarantined: status shows what is`)
    }
    return {
      files: { [quarantinePath]: dropQuarantined(text, quarantinePath, meant) },
      subject: `Release ${what.slice(0, 17)} from quarantine`,
      body: `Released: ${what}`,
    }
  })
  return `${what} may be bumped and promoted again, ${by(place, commit)}.`
}
