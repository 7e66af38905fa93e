import { existsSync, globSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { build } from './kustomize.ts'

/** The folder of this project, gitops/. */
export const gitopsRoot = join(import.meta.dirname, '..')

/** One rendered folder; `path` is relative to gitops/, as `apps/orders/overlays/local`. */
export type Rendered = { path: string; yaml: string }

/** The clusters there are; pull requests are rendered for the one of dev. */
export function targetNames(root = gitopsRoot): string[] {
  return globSync('argocd/overlays/*/', { cwd: root })
    .map((folder) => basename(folder))
    .sort()
}

/** The folders that a cluster is given: the overlays of applications, platform and Argo CD itself. */
export function renderable(root = gitopsRoot): string[] {
  return globSync('{apps/*,platform/*,argocd,bootstrap}/overlays/*/kustomization.yaml', { cwd: root })
    .map((file) => dirname(file))
    .sort()
}

/** Renders `paths` (every renderable folder by default), in their order. Throws what `build` throws. */
export async function renderAll(root = gitopsRoot, paths = renderable(root)): Promise<Rendered[]> {
  const results: Rendered[] = []
  const queue = paths.entries()
  async function work() {
    for (const [index, path] of queue) {
      if (!existsSync(join(root, path))) throw new Error(`${path} is not a folder of gitops/: check its name.`)
      results[index] = { path, yaml: await build(join(root, path)) }
    }
  }
  await Promise.all(Array.from({ length: Math.min(cpus().length, 4) }, work))
  return results
}
