import type { Change } from './diff.ts'

// GitHub refuses a comment of more than 65 536 characters.
const longest = 60_000

/** The changes as Markdown for a pull request: what is pruned first, then every diff that there is room for. */
export function report(changes: Change[], base: string): string {
  if (changes.length === 0) return `No cluster changes: every overlay renders as it does at ${base}.\n`
  const folders = [...new Set(changes.map(({ folder }) => folder))].sort()
  const of = (folder: string, kind?: Change['kind']) =>
    changes.filter((change) => change.folder === folder && (kind === undefined || change.kind === kind))
  const rows = folders.map((folder) => {
    const counts = (['added', 'changed', 'pruned'] as const).map((kind) => of(folder, kind).length)
    return `| ${folder} | ${counts.join(' | ')} |`
  })
  const pruned = changes.filter(({ kind }) => kind === 'pruned')
  let text = [
    `### What this changes in the clusters, against ${base}`,
    '',
    '| rendered folder | added | changed | pruned |',
    '| --- | ---: | ---: | ---: |',
    ...rows,
    '',
    ...(pruned.length > 0 ? ['**Deleted from the cluster by the next sync:**', ''] : []),
    ...pruned.map(({ folder, resource }) => `- ${resource} (${folder})`),
    ...(pruned.length > 0 ? [''] : []),
  ].join('\n')
  let left = 0
  for (const change of folders.flatMap((folder) => of(folder))) {
    const piece = details(change)
    if (text.length + piece.length > longest) left++
    else text += piece
  }
  if (left > 0)
    text += `\n${left} more diffs do not fit here: see them with \`npx nx run gitops:diff --base ${base}\`.\n`
  return text
}

function details({ folder, resource, kind, patch }: Change): string {
  const ticks = Math.max(2, ...[...patch.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(ticks + 1)
  return `\n<details><summary>${folder}: ${resource} ${kind}</summary>\n\n${fence}diff\n${patch}\n${fence}\n</details>\n`
}
