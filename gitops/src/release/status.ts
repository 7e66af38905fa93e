import { randomUUID } from 'node:crypto'
import { environments, quarantinePath, releasePath } from './environments.ts'
import { git, tryGit } from './git.ts'
import { fetchTip, type Place } from './publish.ts'
import { concerns, readQuarantine } from './quarantine.ts'
import { Refusal } from './refusal.ts'
import { type Image, readRelease } from './release-file.ts'
import { Snapshot } from './snapshot.ts'

/** What an environment asks for. `since` is ISO 8601; `by` is the commit that wrote it; empty where there is none. */
export type Status = {
  environment: string
  commit: string
  subject: string
  images: Image[]
  since: string
  by: string
  quarantined: boolean
}

/** What every environment asks for on the branch of the remote, in the order that a release passes them. */
export async function status(place: Place): Promise<Status[]> {
  const ref = `refs/release/${process.pid}-${randomUUID()}`
  try {
    const tip = await fetchTip(place, ref)
    if (tip === undefined) throw new Refusal(`${place.remote} cannot be reached: see whether git fetch works here`)
    const main = new Snapshot(place.folder, tip)
    const quarantine = readQuarantine(await main.read(quarantinePath), quarantinePath)
    const found: Status[] = []
    for (const env of environments) {
      const path = releasePath(env)
      const release = readRelease(await main.read(path), path)
      const written = await git(place.folder, [
        'log',
        '--first-parent',
        '--max-count=1',
        '--format=%H %cI',
        tip,
        '--',
        path,
      ])
      const [by = '', since = ''] = written.split(' ')
      found.push({
        environment: env,
        commit: release.commit ?? '',
        subject: release.commit === undefined ? '' : await subject(place.folder, release.commit),
        images: release.images,
        since,
        by,
        quarantined: quarantine.some((entry) => concerns(entry, release)),
      })
    }
    return found
  } finally {
    await tryGit(place.folder, ['update-ref', '-d', ref])
  }
}

async function subject(folder: string, commit: string): Promise<string> {
  const { code, stdout } = await tryGit(folder, ['log', '--max-count=1', '--format=%s', commit])
  return code === 0 ? stdout.toString().trim() : ''
}

/** The same as lines for a terminal. */
export function table(list: Status[]): string {
  const rows = list.map(({ environment, commit, images, since, subject, quarantined }) => [
    environment,
    commit.slice(0, 10) || '-',
    images.map(({ name, digest }) => `${name}@${digest.slice(0, 19)}`).join(' ') || '-',
    since.slice(0, 16) || '-',
    quarantined ? `QUARANTINED ${subject}` : subject,
  ])
  const all = [['environment', 'commit', 'image', 'since', 'subject'], ...rows]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? []
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
