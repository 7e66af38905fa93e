import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { git, lastLine, tryGit } from './git.ts'
import { Refusal } from './refusal.ts'
import { isAncestor, Snapshot } from './snapshot.ts'

/** Where a command reads and writes: a branch of a remote, seen from a clone whose working tree is never touched. */
export type Place = {
  folder: string
  remote: string
  branch: string
  /** Push to this branch instead, for a pull request; a request that stands there is made anew. */
  request?: string | undefined
  /** How often it is tried while others push; 60 by default, about a minute. */
  tries?: number
}

/** What a command wants to be in the branch: whole files by path, and why. */
export type Edit = { files: Record<string, string>; subject: string; body: string }

/** `commit` is what was pushed; undefined where everything stood there already. */
export type Published = { commit: string | undefined }

const mostFaults = 4
const longestPause = 2000

/**
 * Commits what `decide` makes of the branch and pushes it; decides anew on the new tip whenever another writer was first.
 * Throws a Refusal of `decide`, or one of its own when the remote refuses, cannot be reached or never stands still.
 */
export async function publish(place: Place, decide: (tip: Snapshot) => Promise<Edit>): Promise<Published> {
  // A name of its own, because writers may share a clone, and FETCH_HEAD and remote-tracking branches have one lock each.
  const ref = `refs/release/${process.pid}-${randomUUID()}`
  const { tries = 60 } = place
  let pushed: string | undefined
  let replaced: string | undefined
  let faults = 0
  try {
    for (let attempt = 1; attempt <= tries; attempt++) {
      const tip = await fetchTip(place, ref)
      // A push may arrive although its answer did not: deciding again would find its own work and refuse it.
      if (tip !== undefined && pushed !== undefined && (await isAncestor(place.folder, pushed, tip))) {
        return { commit: pushed }
      }
      if (tip !== undefined) {
        const snapshot = new Snapshot(place.folder, tip)
        const edit = await changes(snapshot, await decide(snapshot))
        if (edit === undefined) return { commit: undefined }
        pushed = await commit(place, ref, [tip, ...(replaced === undefined ? [] : [replaced])], edit)
        const outcome = await push(place, ref)
        if (outcome === 'done') return { commit: pushed }
        if (outcome === 'fault') faults++
        else if (outcome === 'race' && place.request !== undefined) {
          const request = await earlier(place, place.request, ref, tip, edit)
          if ((await changes(request, edit)) === undefined) return { commit: request.commit }
          replaced = request.commit
        }
      } else faults++
      if (faults === mostFaults)
        throw new Refusal(`${place.remote} cannot be reached: see whether git fetch works here`)
      await setTimeout(Math.random() * Math.min(longestPause, 50 * 2 ** attempt))
    }
    throw new Refusal(`${place.branch} of ${place.remote} never stood still in ${tries} tries: run this again`)
  } finally {
    await tryGit(place.folder, ['update-ref', '-d', ref])
  }
}

/** The newest commit of the branch, with its whole history; undefined when the remote could not be reached. */
export async function fetchTip(place: Place, ref: string): Promise<string | undefined> {
  const { folder, remote, branch } = place
  const shallow = (await git(folder, ['rev-parse', '--is-shallow-repository'])) === 'true'
  const depth = shallow ? ['--unshallow'] : []
  const refspec = `+refs/heads/${branch}:${ref}`
  const options = ['--quiet', '--no-tags', '--refmap=', '--no-write-fetch-head', ...depth]
  const { code, stderr } = await tryGit(folder, ['fetch', ...options, '--', remote, refspec])
  if (code === 0) return git(folder, ['rev-parse', '--verify', ref])
  if (/couldn't find remote ref/.test(stderr)) {
    throw new Refusal(`${remote} has no branch ${branch}: name the one that Argo CD follows with --branch`)
  }
  if (/does not appear to be a git repository|Repository not found/i.test(stderr)) {
    throw new Refusal(`${remote} is not a repository that this clone can read: ${lastLine(stderr)}`)
  }
  return undefined
}

/** The tip of a request that was made before. Throws a Refusal when its branch holds anything but what `edit` writes. */
async function earlier(place: Place, request: string, ref: string, main: string, edit: Edit): Promise<Snapshot> {
  const tip = await fetchTip({ ...place, branch: request }, ref)
  const range = `${main}...${tip}`
  const changed = tip === undefined ? '' : await git(place.folder, ['diff', '--name-only', range])
  if (tip !== undefined && changed.split('\n').every((path) => path === '' || path in edit.files))
    return new Snapshot(place.folder, tip)
  throw new Refusal(`${request} holds something else: choose another branch, or delete it if nobody needs it`)
}

/** How to say where the commit is: `by 0123456789`, and that a request changes nothing before it is merged. */
export function by({ request }: Place, commit: string | undefined): string {
  const where = request === undefined ? '' : ` on ${request}, once that is merged`
  return `by ${short(commit)}${where}`
}

/** The beginning of a commit id, for people. */
export function short(commit: string | undefined): string {
  return commit?.slice(0, 10) ?? 'a release of unknown source'
}

async function changes(tip: Snapshot, edit: Edit): Promise<Edit | undefined> {
  const files: [string, string][] = []
  for (const [path, text] of Object.entries(edit.files)) {
    if ((await tip.read(path)) !== text) files.push([path, text])
  }
  return files.length === 0 ? undefined : { ...edit, files: Object.fromEntries(files) }
}

/** Makes the commit without a working tree or an index, and points `ref` at it. */
async function commit(place: Place, ref: string, parents: string[], edit: Edit): Promise<string> {
  // A commit of a pull request must be checked like any other; one that goes to the branch holds no source to build.
  const skip = place.request === undefined ? '\n[skip ci]\n' : ''
  const blob = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`
  const input = [
    `commit ${ref}\nmark :1\ncommitter ${await identity(place.folder)} now\n`,
    blob(`${edit.subject}\n\n${edit.body.trimEnd()}\n${skip}`),
    // A request made anew comes from the earlier one, because a branch that cannot be forced may take no other.
    ...parents.map((parent, index) => `${index === 0 ? 'from' : 'merge'} ${parent}\n`),
    ...Object.entries(edit.files).map(([path, text]) => `M 100644 inline ${path}\n${blob(text)}`),
    'get-mark :1\ndone\n',
  ].join('')
  return git(place.folder, ['fast-import', '--quiet', '--done', '--date-format=now'], { input })
}

async function identity(folder: string): Promise<string> {
  const { code, stdout } = await tryGit(folder, ['var', 'GIT_COMMITTER_IDENT'])
  const known = /^.*<.*>/.exec(stdout.toString())?.[0]
  return code === 0 && known !== undefined ? known : 'Orders release <release@orders.invalid>'
}

async function push(place: Place, ref: string): Promise<'done' | 'race' | 'fault'> {
  const { folder, remote, branch, request } = place
  const refspec = `${ref}:refs/heads/${request ?? branch}`
  const { code, stdout, stderr } = await tryGit(folder, ['push', '--porcelain', '--quiet', '--', remote, refspec])
  if (code === 0) return 'done'
  const reason = /^!\t[^\t]*\t(.*)$/m.exec(stdout.toString())?.[1]
  if (reason === undefined) {
    if (/403|denied|not permitted|authentication/i.test(stderr)) throw new Refusal(refused(place, lastLine(stderr)))
    return 'fault'
  }
  const race = /^\[rejected\]|cannot lock ref|failed to update ref|incorrect old value|but expected|failed to lock/
  if (race.test(reason)) return 'race'
  throw new Refusal(refused(place, reason.replace(/^\[remote rejected\] /, '')))
}

function refused({ remote, branch, request }: Place, reason: string): string {
  const advice = request === undefined ? 'open a pull request with --request BRANCH' : 'choose another branch'
  return `${remote} refuses a push to ${request ?? branch}, ${reason}: ${advice}`
}
