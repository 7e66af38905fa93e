import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { foundPins, pinsWithoutUpdates } from '../src/check/updates.ts'
import { gitopsRoot } from '../src/render.ts'

const root = join(gitopsRoot, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const config = JSON.parse(read('.github/renovate.json'))

/** The repository with one file changed. */
const changed = (name: string, change: (text: string) => string) => (file: string) =>
  file === name ? change(read(file)) : read(file)

t.test('Renovate updates every pin of tools.json and of the Applications', async (t) => {
  t.strictSame(pinsWithoutUpdates(root), [])
})

t.test('finds a pin that no rule matches', async (t) => {
  const other = changed('gitops/tools.json', (text) =>
    text.replace('"how": "pip", "package": "zizmor"', '"how": "cargo", "package": "zizmor"'),
  )
  t.strictSame(pinsWithoutUpdates(root, other), [
    `gitops/tools.json pins zizmor ${JSON.parse(read('gitops/tools.json')).tools.zizmor.version}, which no rule of Renovate updates`,
  ])
  const elsewhere = changed('.github/renovate.json', (text) => text.replace('gitops/argocd/.+', 'argocd/.+'))
  const charts = pinsWithoutUpdates(root, elsewhere)
  t.ok(charts.some((says) => /pins cert-manager v/.test(says)))
  const disabled = changed('.github/renovate.json', (text) => text.replace('"github-actions", ', ''))
  t.strictSame(pinsWithoutUpdates(root, disabled), ['.github/renovate.json does not enable the manager github-actions'])
})

t.test('each custom manager finds something, with the name and the version that its source knows', async (t) => {
  const files = [
    'gitops/tools.json',
    'gitops/cluster.json',
    'gitops/apps/orders/components/database-cluster/cluster.yaml',
    'gitops/platform/argo-rollouts/values.yaml',
  ]
  for (const manager of config.customManagers) {
    const found = files.flatMap((file) => foundPins({ ...config, customManagers: [manager] }, file, read(file)))
    t.ok(found.length > 0, manager.description)
    for (const { name, version } of found) t.match(version, /^v?\d+\.\d+/, name)
  }
})
