import { Refusal } from './refusal.ts'

/** What a release passes, in order: each environment runs only what the one before it has run. */
export const stages = ['dev', 'staging', 'prod'] as const

/** Every environment that has a release: the stages, and the cluster on one's own machine, which takes what it is given. */
export const environments = [...stages, 'local'] as const

export type Environment = (typeof environments)[number]

/** Throws a Refusal for a name that is not an environment's. */
export function environment(name: string): Environment {
  const found = environments.find((it) => it === name)
  if (found === undefined) throw new Refusal(`${name} is not an environment: choose ${environments.join(', ')}`)
  return found
}

/** The environment that a release passes right before this one; undefined where none has to. */
export function before(env: Environment): Environment | undefined {
  return env === 'local' ? undefined : stages[stages.indexOf(env) - 1]
}

const releases = 'gitops/apps/orders/releases'

/** The one file that says what an environment runs. */
export function releasePath(env: Environment): string {
  return `${releases}/${env}/kustomization.yaml`
}

/** What must not run anywhere until it is released. */
export const quarantinePath = `${releases}/quarantine.yaml`

/** What a fork changes about this repository. */
export const factsPath = 'gitops/targets/fork/facts.yaml'
