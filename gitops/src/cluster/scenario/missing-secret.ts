import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { until } from '../until.ts'
import { application, commit, synced } from './argocd.ts'
import { restoring } from './restoring.ts'
import type { Step } from './step.ts'

const mostSeconds = 180

const missing = {
  apiVersion: 'external-secrets.io/v1',
  kind: 'ExternalSecret',
  metadata: { name: 'missing', annotations: { 'argocd.argoproj.io/sync-wave': '-2' } },
  spec: {
    secretStoreRef: { kind: 'SecretStore', name: 'orders' },
    data: [{ secretKey: 'key', remoteRef: { key: 'does-not-exist', property: 'key' } }],
  },
}

export const missingSecret: Step = {
  name: `a sync that waits for a secret that does not exist: the revert is applied within ${mostSeconds} s`,
  run: async (context) => {
    const overlay = join(context.fork.clone, 'gitops/apps/orders/overlays/local')
    const list = join(overlay, 'kustomization.yaml')
    const manifest = join(overlay, 'missing.yaml')
    const original = readFileSync(list, 'utf8')
    let reverted = 0
    const wait = async () => {
      await commit(context, 'Reference a secret that does not exist', () => {
        writeFileSync(manifest, stringify(missing))
        writeFileSync(list, original.replace('resources:\n', 'resources:\n  - missing.yaml\n'))
      })
      await until('the sync waits for the secret', 4, async () => {
        const { phase, message } = (await application(context, 'orders')).status?.operationState ?? {}
        return phase === 'Running' && /ExternalSecret\/missing/.test(message) ? [] : [`${phase} ${message}`]
      })
    }
    await restoring(wait, async () => {
      reverted = performance.now()
      await commit(context, 'Revert the reference to the secret', () => {
        writeFileSync(list, original)
        rmSync(manifest)
      })
      await synced(context, 'the revert is applied', 15, ['orders'])
    })
    const took = Math.round((performance.now() - reverted) / 1000)
    if (took > mostSeconds * context.slowness) throw new Error(`The revert took ${took} s.`)
    return `revert ${took} s`
  },
}
