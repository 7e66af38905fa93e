import t from 'tap'
import { modulePins, pinOf, programFolder, versionOf } from '../../src/cluster/pins.ts'

t.test('derives the versions of the Kubernetes libraries from the version of Kubernetes', async (t) => {
  const pin = pinOf('kube-apiserver')
  const [, minor, patch] = pin.version.split('.')

  t.strictSame(pin.replace, { 'k8s.io/*': `0.${minor}.${patch}` })
  t.match(pin.ldflags, `gitVersion=v${pin.version} `)
  t.match(pin.ldflags, `gitMinor=${minor}`)
})

t.test('answers the version of an added module for its program', async (t) => {
  t.equal(versionOf('argocd'), pinOf('argocd').version)
  t.equal(versionOf('helm'), pinOf('helm').require?.['helm.sh/helm/v4'])
})

t.test('gives each program a cache folder of its own', async (t) => {
  const names = modulePins.flatMap(({ packages }) => Object.keys(packages))
  const folders = names.map(programFolder)

  t.equal(new Set(folders).size, names.length)
  t.match(programFolder('pause'), /^programs\/pause-1\.0\.0-[0-9a-f]{8}$/)
  t.throws(() => programFolder('unknown'), /cluster.json has no program unknown/)
})
