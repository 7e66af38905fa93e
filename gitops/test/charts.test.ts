import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { otherSchemas, type Pin, type Snapshot, unpublished } from '../src/charts/snapshot.ts'
import { changes, compareVersions, takeSnapshot } from '../src/charts/update.ts'

const repository = 'https://charts.example.org'
const pin = (version: string): Pin => ({ where: 'argocd: Application/one', repository, chart: 'one', version })
const snapshot: Snapshot = {
  [repository]: {
    read: '2026-11-27',
    charts: { one: { '1.0.0': { app: 'v4.0.0', deprecated: true }, '1.2.0': { app: 'v4.2.0' } } },
  },
}

/** The versions of two charts: one in an index, as of Helm, the other in a registry that asks for a token. */
async function serveCharts(t: { teardown(fn: () => void): void }): Promise<string> {
  const server = createServer((request, response) => {
    const { url = '', headers } = request
    const origin = `http://${headers.host}`
    const json = (body: object) => void response.end(JSON.stringify(body))
    if (url === '/index.yaml') {
      const entries = ['1.2.0', '1.10.0', '2.0.0-rc.1', '1.9.0'].map((version) => ({
        version,
        appVersion: `v${version}`,
      }))
      return json({
        apiVersion: 'v1',
        entries: { one: [...entries, { version: '1.0.0', appVersion: 1, deprecated: true }] },
      })
    }
    if (url.startsWith('/token?')) return json({ token: new URL(url, origin).searchParams.get('scope') })
    if (headers.authorization !== 'Bearer repository:charts/two:pull') {
      response.writeHead(401, {
        'www-authenticate': `Bearer realm="${origin}/token",service="charts",scope="repository:charts/two:pull"`,
      })
      response.end()
      return
    }
    if (url === '/v2/charts/two/tags/list') return json({ name: 'charts/two', tags: ['v1.0.0', 'v1.1.0'] })
    if (url.startsWith('/v2/charts/two/manifests/'))
      return json({ config: { digest: `sha256:${url.split('/').at(-1)}` } })
    if (url.startsWith('/v2/charts/two/blobs/')) return json({ version: '-', appVersion: url.split(':').at(-1) })
    response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('a version that the snapshot does not list, or lists as deprecated, is a fault', async (t) => {
  t.strictSame(unpublished([pin('1.2.0')], snapshot), [])
  t.match(unpublished([pin('1.2.1')], snapshot), [/does not list for .* on 2026-11-27 \(it lists 1\.0\.0, 1\.2\.0\)/])
  t.match(unpublished([pin('1.0.0')], snapshot), [/has deprecated/])
  t.match(unpublished([{ ...pin('1.2.0'), repository: 'https://moved.example.org' }], snapshot), [/it lists none/])
})

t.test('schemas are of the version that the chart installs', async (t) => {
  const source = { package: 'example.org/one', chart: 'one' }
  t.strictSame(otherSchemas([pin('1.2.0')], snapshot, [{ ...source, version: '4.2.0' }]), [])
  t.match(otherSchemas([pin('1.2.0')], snapshot, [{ ...source, version: '3.0.0' }]), [
    /3\.0\.0, but one 1\.2\.0 installs 4\.2\.0/,
  ])
  const excused = { ...source, because: 'No registry has it.' }
  t.strictSame(otherSchemas([pin('1.2.0')], snapshot, [{ ...excused, version: '3.0.0' }]), [])
  t.match(otherSchemas([pin('1.2.0')], snapshot, [{ ...excused, version: '4.2.0' }]), [/need no excuse/])
  t.match(otherSchemas([], snapshot, [{ package: 'example.org/one', version: '4.2.0' }]), [/names no chart/])
})

t.test('the snapshot has the pinned versions and the newest stable one', async (t) => {
  const address = await serveCharts(t)
  const [index, registry] = [`http://${address}`, `${address}/charts`]
  const pins = [
    ...['1.0.0', '1.2.0', '1.2.1'].map((version) => ({ ...pin(version), repository: index })),
    { ...pin('v1.0.0'), repository: registry, chart: 'two' },
  ]
  t.strictSame(await takeSnapshot(pins, '2026-11-27'), {
    [registry]: { read: '2026-11-27', charts: { two: { 'v1.0.0': { app: 'v1.0.0' }, 'v1.1.0': { app: 'v1.1.0' } } } },
    [index]: {
      read: '2026-11-27',
      charts: {
        one: { '1.0.0': { app: '1', deprecated: true }, '1.2.0': { app: 'v1.2.0' }, '1.10.0': { app: 'v1.10.0' } },
      },
    },
  })
  const missing = takeSnapshot([{ ...pin('1.0.0'), repository: `${index}/moved` }], '2026-11-27')
  await t.rejects(missing, /\/moved\/index\.yaml answered 401: check the address/)
})

t.test('a change of the snapshot is a line for each version, and none for another day', async (t) => {
  const later = structuredClone(snapshot)
  const repositoryLater = later[repository] as Snapshot[string]
  repositoryLater.read = '2026-12-01'
  t.strictSame(changes(snapshot, later), [])
  repositoryLater.charts.one = { '1.2.0': { app: 'v4.2.0' }, '1.3.0': { app: 'v4.3.0' } }
  t.strictSame(changes(snapshot, later), [
    `+ one 1.3.0 (v4.3.0) of ${repository}`,
    `- one 1.0.0 (v4.0.0, deprecated) of ${repository}`,
  ])
})

t.test('versions are compared by their numbers', async (t) => {
  t.strictSame(['v1.10.0', 'v1.9.0', 'v1.2.10'].sort(compareVersions), ['v1.2.10', 'v1.9.0', 'v1.10.0'])
})
