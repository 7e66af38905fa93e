import { publishedVersions } from './published.ts'
import type { Pin, Published, Snapshot } from './snapshot.ts'

/**
 * What the repositories of all pinned charts publish today: of each chart, the pinned versions that exist and the newest
 * stable one. Throws what `publishedVersions` throws.
 */
export async function takeSnapshot(pins: Pin[], today: string): Promise<Snapshot> {
  const snapshot: Snapshot = {}
  for (const { repository, chart } of [...pins].sort((a, b) => order(a).localeCompare(order(b)))) {
    const entry = snapshot[repository] ?? { read: today, charts: {} }
    snapshot[repository] = entry
    entry.charts[chart] ??= await relevant(
      await publishedVersions(repository, chart),
      pins.filter((pin) => pin.repository === repository && pin.chart === chart).map(({ version }) => version),
    )
  }
  return snapshot
}

const order = ({ repository, chart }: Pin) => `${repository} ${chart}`

async function relevant(published: Map<string, () => Promise<Published>>, pinned: string[]) {
  const newest = [...published.keys()]
    .filter((version) => stable.test(version))
    .sort(compareVersions)
    .at(-1)
  const kept = [...new Set([...pinned, newest ?? ''])].filter((version) => published.has(version)).sort(compareVersions)
  return Object.fromEntries(await Promise.all(kept.map(async (version) => [version, await published.get(version)?.()])))
}

const stable = /^v?\d+\.\d+\.\d+$/

/** Orders versions by their numbers. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => version.replace(/^v/, '').split('.').map(Number)
  const [first, second] = [numbers(a), numbers(b)]
  for (const [index, number] of first.entries()) {
    if (number !== second[index]) return number - (second[index] ?? 0)
  }
  return 0
}

/** The versions of `after` that `before` lacks, and those that are gone, a line each. */
export function changes(before: Snapshot, after: Snapshot): string[] {
  const [old, now] = [linesOf(before), linesOf(after)]
  return [
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
  ]
}

const linesOf = (snapshot: Snapshot) =>
  Object.entries(snapshot).flatMap(([repository, { charts }]) =>
    Object.entries(charts).flatMap(([chart, versions]) =>
      Object.entries(versions).map(
        ([version, { app = '', deprecated }]) =>
          `${chart} ${version} (${app}${deprecated ? ', deprecated' : ''}) of ${repository}`,
      ),
    ),
  )
