import t from 'tap'
import { chartSource } from '../../src/cluster/chart-sources.ts'
import {
  linkerFlags,
  moduleOf,
  modulePins,
  pinOf,
  programFolder,
  programNames,
  versionOf,
} from '../../src/cluster/pins.ts'

t.test('derives the versions of the Kubernetes libraries from the version of Kubernetes', async (t) => {
  const pin = pinOf('kube-apiserver')
  const [, minor, patch] = pin.version.split('.')

  t.strictSame(pin.replace, { 'k8s.io/*': `0.${minor}.${patch}` })
  t.match(linkerFlags(pin), `gitVersion=v${pin.version} `)
  t.match(linkerFlags(pin), `gitMinor=${minor}`)
})

t.test('answers the version of an added module for its program', async (t) => {
  t.equal(versionOf('argocd'), pinOf('argocd').version)
  t.equal(versionOf('helm'), pinOf('helm').require?.['helm.sh/helm/v4'])
  t.match(moduleOf('keda'), { module: 'github.com/kedacore/keda/v2', version: versionOf('keda') })
  t.match(moduleOf('prometheus-operator'), { module: 'github.com/prometheus-operator/prometheus-operator' })
  t.match(moduleOf('cert-manager'), { module: 'github.com/cert-manager/cert-manager' })
})

t.test('sets a variable to the version of the module that has it', async (t) => {
  const require = { 'example.org/added': '2.3.4' }
  const variables = { 'example.org/added/version.number': 'v$version', 'example.org/main.minor': '$minor' }

  const flags = linkerFlags({ module: 'example.org', version: '1.2.3', require, variables, packages: {} })
  t.equal(flags, '-s -w -X example.org/added/version.number=v2.3.4 -X example.org/main.minor=2')
})

t.test('gives each program a cache folder of its own', async (t) => {
  const names = modulePins.flatMap(({ packages }) => Object.keys(packages))
  const folders = names.map(programFolder)

  t.equal(new Set(folders).size, names.length)
  t.match(programFolder('pause'), /^programs\/pause-1\.0\.0-[0-9a-f]{8}$/)
  t.throws(() => programFolder('unknown'), /cluster.json has no program unknown/)
})

t.test('a short run does without the programs of other steps, and a stub replaces their chart', async (t) => {
  const all = programNames(false)
  const short = programNames(true)
  t.strictSame(all.filter((name) => !short.includes(name)).sort(), [
    ...['kube-apiserver-next', 'kube-controller-manager-next', 'kube-scheduler-next'],
    ...['prometheus', 'prometheus-config-reloader', 'prometheus-operator'],
  ])
  t.match(chartSource('kube-prometheus-stack', short), { kind: 'stub' })
  t.match(chartSource('kube-prometheus-stack', all), { kind: 'manifests' })
  t.match(chartSource('keda', short), { kind: 'manifests' })
})
