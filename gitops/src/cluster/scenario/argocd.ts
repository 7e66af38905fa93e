import type { Resource } from '../kubernetes.ts'
import { until } from '../until.ts'
import type { Context } from './step.ts'
import { type Application, unfinished } from './unfinished.ts'

const path = '/apis/argoproj.io/v1alpha1/namespaces/argocd/applications'

export const applications = async ({ kubernetes }: Context) =>
  (await kubernetes.list(path)) as Application[] & Resource[]

export const application = async ({ kubernetes }: Context, name: string) => {
  const found = await kubernetes.read(`${path}/${name}`)
  if (found === undefined) throw new Error(`There is no Application ${name}.`)
  return found
}

/** Asks Argo CD to read the repository now, as its webhook does. */
export const refresh = ({ kubernetes }: Context, name = '--all') =>
  kubernetes.kubectl(
    ...['--namespace=argocd', 'annotate', '--overwrite', 'applications.argoproj.io'],
    name,
    'argocd.argoproj.io/refresh=normal',
  )

/** Waits until every Application (or the named ones) is Synced and Healthy at the tip of the fork. */
export async function synced(context: Context, what: string, minutes: number, names?: string[]): Promise<void> {
  await until(what, minutes, async () => {
    // All of them are megabytes: the API server would be busy with this question.
    const found = names
      ? await Promise.all(names.map((name) => application(context, name)))
      : await applications(context)
    return unfinished(found as Application[], context.fork.tip())
  })
}

/** Pushes are followed at once: commits what `edit` did to the clone, and asks for a refresh. */
export async function commit(context: Context, subject: string, edit: () => Promise<void> | void): Promise<string> {
  await edit()
  const id = context.fork.commit(subject)
  await refresh(context)
  return id
}
