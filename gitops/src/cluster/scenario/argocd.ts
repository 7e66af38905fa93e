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
    const tip = context.fork.tip()
    if (names === undefined) return unfinished(await applications(context), tip)
    // One by one: the API server has more to do for a list of all.
    const found = await Promise.all(names.map((name) => context.kubernetes.read(`${path}/${name}`)))
    return found.flatMap((one, index) => (one ? unfinished([one as Application], tip) : `${names[index]} is missing`))
  })
}

/** Pushes are followed at once: commits what `edit` did to the clone, and asks for a refresh. */
export async function commit(context: Context, subject: string, edit: () => Promise<void> | void): Promise<string> {
  await edit()
  const id = context.fork.commit(subject)
  await refresh(context)
  return id
}
