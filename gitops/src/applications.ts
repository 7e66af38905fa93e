import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { build } from './kustomize.ts'
import { gitopsRoot } from './render.ts'

/** A Helm chart as an Application asks for it. `valueFiles` are paths that exist, `values` come on top of them. */
export type Chart = {
  repository: string
  name: string
  version: string
  release: string
  valueFiles: string[]
  values: unknown
}

/** What an Application puts into which namespace: a folder of the repository, or a chart. */
export type Application = { name: string; namespace: string; path: string | undefined; chart: Chart | undefined }

type Source = {
  repoURL: string
  path?: string
  chart?: string
  targetRevision: string
  helm?: { releaseName?: string; valueFiles?: string[]; valuesObject?: unknown }
}

type Document = {
  kind: string
  metadata: { name: string }
  spec: { destination: { namespace: string }; source?: Source; sources?: Source[] }
}

/** The Applications of a target, as the root Application makes them. Throws what `build` throws. */
export async function readApplications(target: string, root = gitopsRoot): Promise<Application[]> {
  const yaml = await build(join(root, 'argocd/overlays', target))
  return parseAllDocuments(yaml)
    .map((document) => document.toJS() as Document)
    .filter(({ kind }) => kind === 'Application')
    .map(({ metadata: { name }, spec }) => {
      const chart = spec.sources?.find((source) => source.chart !== undefined)
      return {
        name,
        namespace: spec.destination.namespace,
        path: spec.source?.path,
        chart: chart && describe(name, chart, root),
      }
    })
}

function describe(name: string, { repoURL, chart = '', targetRevision, helm }: Source, root: string): Chart {
  return {
    repository: repoURL,
    name: chart,
    version: targetRevision,
    release: helm?.releaseName ?? name,
    // `$values` is this repository; a target without values of its own has no such file.
    valueFiles: (helm?.valueFiles ?? [])
      .map((file) => join(root, '..', file.replace(/^\$values\//, '')))
      .filter((file) => existsSync(file)),
    values: helm?.valuesObject,
  }
}
