import { type Document, ofKind } from '../rules/documents.ts'
import { rolloutOf } from '../rules/pods.ts'
import { execute } from '../tools/cache.ts'
import { minorOf, targetVersion } from '../tools/kubernetes-versions.ts'
import { toolPath } from '../tools.ts'
import { type Exception, exceptions } from './linter-exceptions.ts'
import { pipe } from './schemas.ts'

export type Remark = { path: string; object: string; check: string; says: string }
type Score = {
  object_name: string
  checks:
    | { check: { id: string }; grade: number; skipped: boolean; comments: { path: string; summary: string }[] | null }[]
    | null
}

/** What kube-score holds against a set, with all of its checks on. */
export async function lint(path: string, set: Document[]): Promise<Remark[]> {
  const program = await toolPath('kube-score')
  const all = (await execute('kube-score does not list its checks.', program, ['list']))
    .split('\n')
    .map((line) => line.split(','))
  const optional = all.filter((columns) => columns.at(-1) === 'optional').map(([id]) => id)
  const args = ['score', '--output-format', 'json', '--kubernetes-version', `v${minorOf(targetVersion)}`]
  args.push('--enable-optional-test', optional.join(','), '-')
  const scores = JSON.parse(
    await pipe(
      program,
      args,
      withoutRollouts(set)
        .map((document) => JSON.stringify(document))
        .join('\n---\n'),
    ),
  ) as Score[] | null
  return (scores ?? []).flatMap(({ object_name, checks }) =>
    (checks ?? [])
      .filter(({ grade, skipped }) => grade < 10 && !skipped)
      .map(({ check, comments }) => ({
        path,
        object: object_name.replace(/\/.*\//, '/'),
        check: check.id,
        says: (comments ?? []).map((comment) => `${comment.summary} ${comment.path}`.trim()).join('; '),
      })),
  )
}

/** The remarks that no exception explains, and the exceptions that explain nothing, a sentence each. */
export function unexplained(remarks: Remark[], allowed: Exception[] = exceptions): string[] {
  const applies = ({ check, object }: Exception, remark: Remark) => check === remark.check && object.test(remark.object)
  return [
    ...remarks
      .filter((remark) => !allowed.some((exception) => applies(exception, remark)))
      .map(({ path, object, check, says }) => `${path}: ${object} ${says} (${check})`),
    ...allowed
      .filter((exception) => !remarks.some((remark) => applies(exception, remark)))
      .map(
        ({ check, object }) => `the exception from ${check} for ${object.source} explains nothing any more: remove it`,
      ),
  ]
}

// The linter knows no Rollout: it is shown the Deployment whose template the Rollout runs, under the same autoscaler.
function withoutRollouts(set: Document[]): Document[] {
  return set
    .filter(({ kind }) => kind !== 'Rollout')
    .map((document) => {
      const { kind, spec } = document
      if (kind === 'Deployment' && rolloutOf(set, document.metadata.name)) {
        const { replicas: _none, ...rest } = spec ?? {}
        return { ...document, spec: rest }
      }
      const target = ofKind(set, 'Rollout').find(({ metadata }) => metadata.name === spec?.scaleTargetRef?.name)?.spec
        ?.workloadRef
      return kind === 'HorizontalPodAutoscaler' && target
        ? { ...document, spec: { ...spec, scaleTargetRef: target } }
        : document
    })
}
