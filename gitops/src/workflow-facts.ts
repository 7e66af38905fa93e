import type { Job, Workflow } from './workflow-policy.ts'

/** The action and the commit that `uses` names; undefined when it names no commit. */
export function pinOf(uses: string): { repository: string; commit: string } | undefined {
  const [, repository, commit] = /^([\w.-]+\/[\w.-]+)[^@]*@([0-9a-f]{40})$/.exec(uses) ?? []
  return repository === undefined || commit === undefined ? undefined : { repository, commit }
}

/** May the job's own token write, to one scope or to any that is not OIDC's. */
export function writes({ permissions }: Job, scope?: string): boolean {
  if (typeof permissions !== 'object' || permissions === null) return false
  return Object.entries(permissions).some(([name, right]) => right === 'write' && (scope ?? name) === name)
}

/** Every image that a job starts as a container, a service or a step. */
export function imagesOf({ container, services, steps }: Job): string[] {
  const started = [container, ...Object.values(services ?? {})]
    .filter((it) => it !== undefined)
    .map((it) => (typeof it === 'object' && it !== null ? (it as { image?: unknown }).image : it))
  return [...started, ...steps.map(({ uses }) => uses).filter((uses) => uses?.startsWith('docker://'))].map(String)
}

/** Line and name of every secret that a workflow reads, but the token of the run. */
export function secretsOf(text: string): [line: number, name: string][] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(/\bsecrets(?:\.(\w+)|\[['"]?(\w*)|\s*\))/g)]
        .map(([, dotted, indexed]): [number, string] => [index + 1, dotted ?? indexed ?? 'of every name'])
        .filter(([, name]) => name !== 'GITHUB_TOKEN'),
    )
}

type Concurrency = Record<string, unknown> | undefined

/** What says what may run side by side: the workflow, or else each job for itself. */
export function concurrencies({ concurrency, jobs }: Workflow): Concurrency[] {
  return concurrency === undefined ? jobs.map((job) => job.concurrency as Concurrency) : [concurrency as Concurrency]
}
