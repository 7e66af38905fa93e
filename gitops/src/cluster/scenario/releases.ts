import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../until.ts'
import { application, refresh, synced } from './argocd.ts'
import { ask } from './client.ts'
import { followGuide } from './guide.ts'
import type { Context, Step } from './step.ts'

const run = promisify(execFile)
const mostSeconds = 60

/** The commit that `/version` of the service reports. */
async function servedCommit(context: Context): Promise<string> {
  const { body } = await ask(context, '/version')
  return (JSON.parse(body) as { commit: string }).commit
}

/** Seconds since `start` at which the sync began, its migration ended and the first new pod was ready. */
async function phases(context: Context, start: number, image: string): Promise<string> {
  const since = (time?: string) => (time === undefined ? '?' : Math.round((Date.parse(time) - start) / 1000))
  const read = (path: string) => context.kubernetes.read(path)
  const jobs = `/apis/batch/v1/namespaces/orders-local/jobs`
  const pods = `/api/v1/namespaces/orders-local/pods?labelSelector=app.kubernetes.io/name%3Dorders-api`
  const [sync, migration, found] = [
    (await application(context, 'orders')).status?.operationState?.startedAt,
    (await read(`${jobs}/orders-migrate`))?.status?.completionTime,
    await context.kubernetes.list(pods),
  ]
  const ready = found
    .filter(({ spec }) => spec.containers.some((one: { image: string }) => one.image === image))
    .flatMap(({ status }) => status?.conditions ?? [])
    .filter(({ type, status }) => type === 'Ready' && status === 'True')
    .map(({ lastTransitionTime }) => lastTransitionTime as string)
    .sort()
  return `sync ${since(sync)} s, migrated ${since(migration)} s, first pod ready ${since(ready[0])} s`
}

export const commitToLive: Step = {
  name: `from push to live within ${mostSeconds} s, notified by the webhook`,
  run: async (context) => {
    const { fork, images } = context
    const source = fork.emptyCommit('A newer release')
    const image = await images.push(source)
    await synced(context, 'nothing else changes', 5)
    fork.release('bump', '--env', 'local', '--image', image, '--commit', source)
    const pushed = new Date()
    const started = performance.now()
    await context.notify()
    await until(
      'the new commit is served',
      5,
      async () => {
        const commit = await servedCommit(context)
        return commit === source ? [] : [`${commit} is served`]
      },
      250,
    )
    const took = Math.round((performance.now() - started) / 1000)
    const how = await phases(context, pushed.getTime(), image)
    if (took > mostSeconds * context.slowness) throw new Error(`${took} s passed: ${how}.`)
    const since = `--since-time=${pushed.toISOString()}`
    const log = await context.kubernetes.kubectl('--namespace=argocd', 'logs', 'deployment/argocd-server', since)
    if (!log.includes("Requested app 'orders' refresh")) throw new Error('Argo CD did not heed the webhook.')
    await synced(context, 'the release is complete', 5, ['orders'])
    return `${took} s: ${how}`
  },
}

export const promotion: Step = {
  name: 'the release tool bumps, promotes and rolls back',
  run: async (context) => {
    const { fork, images } = context
    const promote = async (instead?: Record<string, string>) => {
      await followGuide(context, 'npx nx run gitops:promote', instead).finally(fork.pull)
    }
    for (const which of ['first', 'second']) {
      const source = fork.emptyCommit(`The ${which} release for every environment`)
      fork.release('bump', '--env', 'dev', '--image', await images.push(source), '--commit', source)
      await promote()
      await promote({ '--from dev --to staging': '--from staging --to prod' })
    }
    fork.pull()
    const newest = fork.released('prod')
    await followGuide(context, 'npx nx run gitops:rollback').finally(fork.pull)
    if (fork.released('prod') === newest) throw new Error('The rollback left the newest release in prod.')
    const refused = await run(
      process.execPath,
      ['gitops/src/release/cli.ts', 'promote', '--from', 'staging', '--to', 'prod'],
      {
        cwd: fork.clone,
      },
    ).then(
      () => false,
      () => true,
    )
    if (!refused) throw new Error('The release that was rolled back could be promoted again.')
    return `prod goes back from ${newest?.slice(0, 10)} to ${fork.released('prod')?.slice(0, 10)}; promoting it again is refused`
  },
}

export const race: Step = {
  name: '50 bumps race: one newest release, none lost, none older',
  run: async (context) => {
    const { fork, images } = context
    const count = 50
    const sources = Array.from({ length: count }, (_, index) => fork.emptyCommit(`Race ${index}`))
    const image = await images.push(sources.at(-1) ?? '')
    const folder = join(context.folder, 'race')
    mkdirSync(folder)
    const started = performance.now()
    const outcomes = await Promise.all(
      sources.map(async (source, index) => {
        const clone = join(folder, `${index}`)
        await run('git', ['clone', '--quiet', '--no-checkout', fork.bare, clone])
        for (const key of ['name', 'email'])
          await run('git', ['-C', clone, 'config', `user.${key}`, 'race@orders.invalid'])
        const args = ['bump', '--env', 'local', '--image', image, '--commit', source]
        return run(process.execPath, [join(fork.clone, 'gitops/src/release/cli.ts'), ...args], { cwd: clone }).then(
          () => 'done',
          () => 'refused',
        )
      }),
    ).finally(fork.pull)
    const took = ((performance.now() - started) / 1000).toFixed(1)
    const released = fork.released('local')
    if (released !== sources.at(-1)) throw new Error(`The release is ${released}, not the newest of the race.`)
    await refresh(context, 'orders')
    await synced(context, 'the newest release is live', 10, ['orders'])
    const served = await servedCommit(context)
    if (served !== sources.at(-1)) throw new Error(`${served} is served, not the newest of the race.`)
    const done = outcomes.filter((outcome) => outcome === 'done').length
    return `${took} s; ${done} written, ${count - done} refused as older`
  },
}
