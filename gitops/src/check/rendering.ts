import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { gitopsRoot, type Rendered, renderAll } from '../render.ts'

/** Renders every folder twice, and says where the two differ: what depends on time or chance never settles. */
export async function renderTwice(): Promise<{ rendered: Rendered[]; differences: string[] }> {
  const rendered = await renderAll()
  return { rendered, differences: differencesOf(rendered, await renderAll()) }
}

/** Where two renderings of the same folders are not the same bytes, a sentence each. */
export function differencesOf(first: Rendered[], second: Rendered[]): string[] {
  return first
    .filter(({ path, yaml }, index) => second[index]?.path !== path || second[index].yaml !== yaml)
    .map(({ path }) => `${path} is not the same when it is rendered again`)
}

/** The kustomizations that take something from outside the repository, a sentence each. */
export function remoteBases(root = gitopsRoot): string[] {
  const files = globSync('{apps,argocd,bootstrap,platform,targets}/**/kustomization.yaml', { cwd: root }).sort()
  if (files.length === 0) return [`${root} has no kustomization: nothing was looked at`]
  return files.flatMap((file) =>
    [...remoteReferences(parse(readFileSync(join(root, file), 'utf8')))].map(
      (what) => `${file} takes ${what} from elsewhere: copy it here`,
    ),
  )
}

const listed = [
  'resources',
  'components',
  'bases',
  'crds',
  'configurations',
  'generators',
  'transformers',
  'validators',
]

function* remoteReferences(kustomization: Record<string, unknown>): Generator<string> {
  for (const key of listed) {
    for (const entry of (kustomization[key] ?? []) as string[]) if (isRemote(entry)) yield entry
  }
  for (const { path } of (kustomization.patches ?? []) as { path?: string }[]) if (path && isRemote(path)) yield path
  for (const { repo, name } of (kustomization.helmCharts ?? []) as { repo?: string; name?: string }[]) {
    yield `chart ${name} of ${repo ?? 'a folder'}`
  }
}

// What kustomize would fetch: an address, or an abbreviated one of Git, and never a path that starts with a dot.
const isRemote = (entry: string) =>
  /^[a-z+]+:\/\/|^git@|\?ref=|\.git(\/|$|\?)|^[\w.-]+\.[a-z]{2,}[/:]/.test(entry) && !/^\.{1,2}\//.test(entry)
