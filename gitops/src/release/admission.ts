import { parse } from './documents.ts'
import { before, type Environment, factsPath, quarantinePath, releasePath } from './environments.ts'
import { short } from './publish.ts'
import { concerns, readQuarantine } from './quarantine.ts'
import { Refusal } from './refusal.ts'
import { type Release, readRelease, sameImages } from './release-file.ts'
import type { Snapshot } from './snapshot.ts'

/** A release that says what it was built from. */
export type Candidate = Release & { commit: string }

/** Throws a Refusal unless `candidate` may follow `current` in an environment: newer, known, and never rolled back. */
export async function admit(main: Snapshot, env: Environment, current: Release, candidate: Candidate): Promise<void> {
  const { commit } = candidate
  if (!(await main.contains(commit))) {
    throw new Refusal(`${short(commit)} is not part of the branch: merge the commit first, then build and bump it`)
  }
  await refuseQuarantined(main, env, candidate)
  await refuseOlder(main, env, current, candidate)
  await refuseSkipped(main, env, candidate)
}

async function refuseQuarantined(main: Snapshot, env: Environment, candidate: Candidate): Promise<void> {
  const entries = readQuarantine(await main.read(quarantinePath), quarantinePath)
  const found = entries.find((entry) => concerns(entry, candidate))
  if (found !== undefined) {
    const { environment, reason } = found
    const why = reason === undefined ? '' : ` (${reason})`
    throw new Refusal(
      `${short(candidate.commit)} was rolled back in ${environment}${why} and is quarantined: bump a commit that mends it, or release it with rollback --release ${candidate.commit}`,
    )
  }
  // What is older than a release that failed here comes late: it would undo the decision of who rolled back.
  for (const { environment, commit } of entries) {
    if (environment !== env || commit === undefined) continue
    if (await main.isAncestor(candidate.commit, commit)) {
      throw new Refusal(
        `${short(candidate.commit)} is older than ${short(commit)}, which ${env} was rolled back from: bump a commit that mends it`,
      )
    }
  }
}

async function refuseOlder(main: Snapshot, env: Environment, current: Release, candidate: Candidate): Promise<void> {
  if (current.commit === undefined || (await main.isAncestor(current.commit, candidate.commit))) return
  const both = `${short(candidate.commit)} and ${short(current.commit)}, which ${env} asks for,`
  if (await main.isAncestor(candidate.commit, current.commit)) {
    throw new Refusal(
      `${short(candidate.commit)} is older than ${short(current.commit)}, which ${env} asks for: go back with rollback`,
    )
  }
  throw new Refusal(`${both} are on separate lines of history: bump a commit that contains both`)
}

async function refuseSkipped(main: Snapshot, env: Environment, candidate: Candidate): Promise<void> {
  const earlier = before(env)
  if (earlier === undefined) return
  const path = releasePath(earlier)
  for (const { text } of await main.versions(path)) {
    if (sameImages(readRelease(text, path), candidate)) return
  }
  throw new Refusal(`${earlier} never asked for ${short(candidate.commit)} as it is: bring it there first`)
}

/** Throws a Refusal for an image from elsewhere than the registry of this repository. */
export async function refuseForeign(main: Snapshot, { images }: Release): Promise<void> {
  const text = await main.read(factsPath)
  if (text === undefined) throw new Refusal(`${factsPath} is missing: it names the registry that images come from`)
  const registry = parse(text, factsPath).getIn(['data', 'registry'])
  const foreign = images.find(({ name, newName }) => newName !== `${registry}/${name}`)
  if (foreign === undefined) return
  throw new Refusal(`${foreign.newName} is not in ${registry}: push the image there, or change ${factsPath}`)
}
