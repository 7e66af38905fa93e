import { type Document, nameOf, ofKind } from './documents.ts'
import type { Rule } from './rule.ts'

/** A commit that rolls back is applied after this time at most, whatever the release before it left running. */
const rollbackSeconds = 180

/** The longest pause between two attempts of a sync: a commit that arrives in it waits for its end. */
const pauseSeconds = 30

/** What Argo CD takes to see a commit, to render it, and to run a migration that has nothing to do. */
const applySeconds = 45

/** How long one part of a release may hold up the sync: a hook, or pods that do not become available. */
export const releaseSeconds = rollbackSeconds - pauseSeconds - applySeconds

/** What Kubernetes does where a Deployment does not say. */
const defaultProgressSeconds = 600

const secondsOf = (duration = '') => {
  const [, number = '', unit = ''] = /^(\d+)(s|m|h)?$/.exec(duration) ?? []
  return Number(number || Number.NaN) * ({ m: 60, h: 3600 }[unit] ?? 1)
}

/** The Applications that releases change. */
const releases = (set: Document[]) =>
  ofKind(set, 'Application', 'ApplicationSet').filter(({ spec }) =>
    ['orders', 'previews'].includes((spec?.template?.spec ?? spec)?.project ?? ''),
  )

export const rollbackRules: Record<string, Rule> = {
  'rollout-is-bounded': (set) => {
    const waited = ofKind(set, 'Job').some(
      ({ metadata }) => metadata.annotations?.['argocd.argoproj.io/hook'] === 'PostSync',
    )
    return ofKind(set, 'Deployment')
      .filter(() => waited)
      .filter(({ spec }) => (spec?.progressDeadlineSeconds ?? defaultProgressSeconds) > releaseSeconds)
      .map((deployment) => [
        nameOf(deployment),
        `may hold up a rollback: set progressDeadlineSeconds up to ${releaseSeconds}`,
      ])
  },
  'retry-leaves-room-for-rollback': (set) =>
    releases(set)
      .filter((application) => {
        const { refresh = false, backoff } =
          (application.spec?.template?.spec ?? application.spec)?.syncPolicy?.retry ?? {}
        return !refresh || !(secondsOf(backoff?.maxDuration) <= pauseSeconds)
      })
      .map((application) => [
        nameOf(application),
        `repeats a bad release while its rollback waits: set retry.refresh, and backoff.maxDuration up to ${pauseSeconds}s`,
      ]),
}
