/**
 * A contraction is a migration that removes or renames what an older release uses. Its name ends in `.after-NNNN`: a
 * release works with its result only if it knows the migration NNNN, which added the replacement. It waits until NNNN is a
 * day old, so that a rollout of the release with both can run beside the previous one and go back to it.
 */
const contraction = /\.after-(\d{4})$/

/** Rules of squawk that every contraction breaks. */
const removals = ['renaming-column', 'renaming-table', 'ban-drop-column', 'ban-drop-table', 'ban-drop-database']

/** Contractions from before this rule: a release without them cannot run with the schema of today. */
const exempt = ['0010-log-of-statements']

const numberOf = (name: string) => Number(name.slice(0, 4))

/** Returns the number of the migration that a contraction follows; undefined for the name of any other migration. */
export const expansionOf = (name: string): string | undefined => contraction.exec(name)?.[1]

/** Returns the number of a migration that `applied` requires a release to know, and that `known` does not reach. */
export function unsupportedSince(applied: readonly string[], known: readonly string[]): string | undefined {
  const newest = Math.max(0, ...known.map(numberOf))
  return applied.map(expansionOf).find((needed) => Number(needed) > newest)
}

/** Returns what is wrong with the name of a migration whose SQL is `text`, as a sentence. */
export function contractionFault(name: string, text: string): string | undefined {
  const ignored = [...text.matchAll(/squawk-ignore(?:-file)?\s+([^\n]*)/g)].flatMap(([, rules = '']) =>
    rules.split(/[\s,]+/),
  )
  const removal = removals.find((rule) => ignored.includes(rule))
  const needed = expansionOf(name)
  if (needed !== undefined && Number(needed) >= numberOf(name))
    return `${name} must follow the migration that it names.`
  if (removal === undefined || needed !== undefined || exempt.includes(name)) return undefined
  return `${name} ignores ${removal}: expand in one release, contract in the next, and end its name in .after-NNNN.`
}
