import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readApplications } from '../../applications.ts'
import { until } from '../until.ts'
import { application, commit, refresh, synced } from './argocd.ts'
import { smoke } from './first-sync.ts'
import { restoring } from './restoring.ts'
import type { Step } from './step.ts'

const file = 'gitops/argocd/base/applications/tempo.yaml'
const unpublished = '0.0.1'

export const brokenAddOn: Step = {
  name: 'an add-on whose chart was never published stops no release',
  run: async (context) => {
    const { fork, images } = context
    const path = join(fork.clone, file)
    const original = readFileSync(path, 'utf8')
    const version = (await readApplications('local')).find(({ name }) => name === 'tempo')?.chart?.version ?? ''
    const released = async () => {
      await commit(context, 'Ask for a chart that does not exist', () =>
        writeFileSync(path, original.replace(`targetRevision: ${version}`, `targetRevision: ${unpublished}`)),
      )
      await until('Argo CD cannot sync the add-on', 5, async () => {
        const { status } = await application(context, 'tempo')
        const errors = (status?.conditions ?? []).filter(({ type }: { type: string }) => type === 'ComparisonError')
        return errors.length > 0 ? [] : [`tempo is ${status?.sync?.status}`]
      })
      const source = fork.emptyCommit('A release beside a broken add-on')
      fork.release('bump', '--env', 'local', '--image', await images.push(source), '--commit', source)
      const started = performance.now()
      await refresh(context, 'orders')
      await synced(context, 'the release is live', 5, ['orders'])
      await smoke(context)
      return `released in ${Math.round((performance.now() - started) / 1000)} s`
    }
    return restoring(released, async () => {
      await commit(context, 'Ask for the published chart', () => writeFileSync(path, original))
      await synced(context, 'everything is Synced and Healthy again', 10)
    })
  },
}
