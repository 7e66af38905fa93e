import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { renderAll } from '../render.ts'
import { git, lastLine, tryGit } from './git.ts'
import { Refusal } from './refusal.ts'

/** What happens to one resource of a rendered folder; `patch` is the unified diff without its header. */
export type Change = { folder: string; resource: string; kind: 'added' | 'changed' | 'pruned'; patch: string }

/**
 * What the working tree changes in the clusters since it left `base` (any commit; what only `base` has since is not
 * counted). Throws a Refusal for an unknown commit, and what rendering throws.
 */
export async function diff(repository: string, base: string): Promise<Change[]> {
  const { code, stdout, stderr } = await tryGit(repository, ['merge-base', '--', base, 'HEAD'])
  if (code !== 0) {
    const why = stderr === '' ? 'it shares no history with HEAD' : lastLine(stderr)
    throw new Refusal(`${base} cannot be compared with, ${why}: fetch it with its history first`)
  }
  const folder = await mkdtemp(join(tmpdir(), 'orders-diff-'))
  try {
    const tree = join(folder, 'tree/')
    const env = { GIT_INDEX_FILE: join(folder, 'index') }
    await git(repository, ['read-tree', stdout.toString().trim()], { env })
    await git(repository, ['checkout-index', '--all', `--prefix=${tree}`], { env })
    await split(join(tree, 'gitops'), join(folder, 'base'))
    await split(join(repository, 'gitops'), join(folder, 'head'))
    const patch = await tryGit(folder, [
      'diff',
      '--no-index',
      '--no-renames',
      '--no-color',
      '--no-ext-diff',
      'base',
      'head',
    ])
    if (patch.code > 1) throw new Error(`git diff ended with ${patch.code}: ${lastLine(patch.stderr)}`)
    return readPatch(patch.stdout.toString())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Renders a gitops folder into one file for each resource, so that a diff speaks of resources and not of lines. */
async function split(root: string, out: string): Promise<void> {
  await mkdir(out, { recursive: true })
  for (const { path, yaml } of await renderAll(root)) {
    for (const document of parseAllDocuments(yaml)) {
      const { apiVersion, kind, metadata } = document.toJS() as Resource
      const group = apiVersion.includes('/') ? `.${apiVersion.split('/')[0]}` : ''
      const folder = join(out, path, `@${kind}${group}`, metadata.namespace ?? '')
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, `${metadata.name.replaceAll('/', '_')}.yaml`), document.toString({ lineWidth: 0 }))
    }
  }
}

type Resource = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } }

function readPatch(patch: string): Change[] {
  const pieces = patch.split(/^(?=diff --git )/m).filter((piece) => piece !== '')
  return pieces.map((piece) => {
    const [, folder = '', kindOf = '', name = ''] =
      /^diff --git a\/(?:base|head)\/(.*?)\/@([^/]+)\/(.*?)\.yaml /.exec(piece) ?? []
    const added = /^new file mode/m.test(piece)
    const pruned = /^deleted file mode/m.test(piece)
    const at = piece.indexOf('\n@@')
    return {
      folder,
      resource: `${kindOf} ${name}`,
      kind: added ? 'added' : pruned ? 'pruned' : 'changed',
      patch: at === -1 ? '' : piece.slice(at + 1).trimEnd(),
    }
  })
}
