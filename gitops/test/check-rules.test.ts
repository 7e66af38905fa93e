import { appendFileSync, cpSync, existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { readSettings } from '../src/check/service.ts'
import { build, canRender, kustomizeMissing } from '../src/kustomize.ts'
import { gitopsRoot, renderAll } from '../src/render.ts'
import { neededConnections } from '../src/rules/connections.ts'
import { type Document, nameOf, ofKind, quantity, readDocuments, selects } from '../src/rules/documents.ts'
import { describe, judge, rules } from '../src/rules/judge.ts'

/** One thing done wrong in one rendered set: `set` and `remove` are JSON pointers into the resource named by `on`. */
type Bad = {
  in: string
  on?: string
  set?: Record<string, unknown>
  remove?: string[]
  drop?: boolean
  add?: Document
  also?: string[]
}

const folder = join(import.meta.dirname, 'bad')
const files = globSync('*.yaml', { cwd: folder }).sort()
const ruleOf = (file: string) => basename(file, '.yaml').replace(/\.\d+$/, '')

const rendering = await canRender()
if (!rendering) t.comment(kustomizeMissing)

/** The container of what a JSON pointer points at, and the key in it. Throws an Error where the way ends. */
function at(document: Document, pointer: string): [Record<string, unknown>, string] {
  const keys = pointer.split('/').slice(1)
  const last = keys.pop() as string
  const plain = (key: string) => key.replaceAll('~1', '/')
  let value = document as unknown as Record<string, unknown>
  for (const key of keys) {
    const next = value[plain(key)]
    if (typeof next !== 'object' || next === null) throw new Error(`${nameOf(document)} has no ${pointer}`)
    value = next as Record<string, unknown>
  }
  return [value, plain(last)]
}

function spoil(good: Document[], bad: Bad): Document[] {
  const set = structuredClone(good)
  if (bad.add) set.push(bad.add)
  if (bad.on === undefined) return set
  const document = set.find((one) => nameOf(one) === bad.on)
  if (!document) throw new Error(`${bad.in} has no ${bad.on}`)
  for (const [pointer, value] of Object.entries(bad.set ?? {})) {
    const [holder, key] = at(document, pointer)
    holder[key] = value
  }
  for (const pointer of bad.remove ?? []) {
    const [holder, key] = at(document, pointer)
    if (!(key in holder)) throw new Error(`${bad.on} has no ${pointer}`)
    if (Array.isArray(holder)) holder.splice(Number(key), 1)
    else delete holder[key]
  }
  return bad.drop ? set.filter((one) => one !== document) : set
}

t.test('every rule has a set that it refuses', async (t) => {
  t.ok(Object.keys(rules).length >= 30)
  t.strictSame([...new Set(files.map(ruleOf))].sort(), Object.keys(rules).sort())
})

if (rendering) {
  const sets = new Map((await renderAll()).map(({ path, yaml }) => [path, readDocuments(yaml)]))
  const exists = (path: string) => existsSync(join(gitopsRoot, '..', path))
  const facts = { sets, exists, settings: await readSettings() }

  t.test('nothing is held against what clusters are given', async (t) => {
    t.ok(sets.size >= 25)
    for (const [path, set] of sets) t.strictSame(judge(path, set, facts).map(describe), [], path)
  })

  t.test('nor against a target that takes the tokens of an issuer', async (t) => {
    const root = t.testdir({})
    for (const room of ['apps', 'targets']) cpSync(join(gitopsRoot, room), join(root, room), { recursive: true })
    const issuers = '[{"issuer":"https://issuer.example.org","audience":"orders"}]'
    const path = 'apps/orders/overlays/prod-azure'
    appendFileSync(join(root, path, 'kustomization.yaml'), '  - ../../components/openid\n')
    await t.rejects(build(join(root, path)), /openid_issuers/, 'its facts have to name them')
    appendFileSync(join(root, 'targets/prod-azure/facts.yaml'), `  openid_issuers: '${issuers}'\n`)
    const set = readDocuments(await build(join(root, path)))
    t.strictSame(judge(path, set, facts).map(describe), [])
    t.equal(set.find((one) => nameOf(one) === 'ConfigMap/orders-api')?.data?.OPENID_ISSUERS, issuers)
  })

  t.test('nor against a target whose events go through Service Bus', async (t) => {
    const root = t.testdir({})
    for (const room of ['apps', 'targets']) cpSync(join(gitopsRoot, room), join(root, room), { recursive: true })
    const path = 'apps/orders/overlays/prod-azure'
    const ports = (set: Document[]) =>
      ofKind(set, 'NetworkPolicy')
        .filter(({ spec }) => selects(spec?.podSelector ?? {}, { 'app.kubernetes.io/name': 'orders-worker' }))
        .flatMap(({ spec }) => spec?.egress ?? [])
        .flatMap(({ ports = [] }) => ports.map(({ port }) => port))
    t.notOk(ports(sets.get(path) ?? []).includes(5671), 'without it nobody is let out to a broker')
    appendFileSync(join(root, path, 'kustomization.yaml'), '  - ../../components/service-bus\n')
    await t.rejects(build(join(root, path)), /service_bus_host/, 'its facts have to name it')
    const host = 'orders-prod.servicebus.windows.net'
    const given = { service_bus_host: host, service_bus_queue: 'events', worker_client_id: 'w', scaler_client_id: 's' }
    const lines = Object.entries(given).map(([name, value]) => `  ${name}: ${value}\n`)
    appendFileSync(join(root, 'targets/prod-azure/facts.yaml'), lines.join(''))
    const set = readDocuments(await build(join(root, path)))
    // EVENTS_BROKER is none of the worker's settings unless it can use a broker.
    const found = judge(path, set, facts).filter(({ where }) => where !== 'ConfigMap/orders-worker EVENTS_BROKER')
    t.strictSame(found.map(describe), [])
    const one = (name: string) => set.find((document) => nameOf(document) === name)
    t.equal(one('ConfigMap/orders-worker')?.data?.EVENTS_BROKER, `amqps://${host}/events`)
    const queue = one('ScaledObject/orders-worker')?.spec?.triggers?.find(({ name }) => name === 'queue')
    t.match(queue, { type: 'azure-servicebus', metadata: { namespace: 'orders-prod', queueName: 'events' } })
    t.match(one('TriggerAuthentication/orders-worker')?.spec, { podIdentity: { identityId: 's' } })
    t.match(one('ServiceAccount/orders-worker')?.metadata.annotations, { 'azure.workload.identity/client-id': 'w' })
    t.ok(ports(set).includes(5671))
  })

  t.test('what a managed database has to allow is written down', async (t) => {
    const readme = readFileSync(join(gitopsRoot, 'README.md'), 'utf8')
    for (const environment of ['staging', 'prod']) {
      const needed = ['aws', 'azure'].map((cloud) =>
        neededConnections(sets.get(`apps/orders/overlays/${environment}-${cloud}`) ?? []),
      )
      t.ok(new RegExp(`max_connections[^.]*\\b${needed[0]} in ${environment}\\b`).test(readme), `${needed[0]}`)
      t.equal(needed[1], needed[0])
    }
  })

  t.test('each wrong thing is found, by its rule and no other', async (t) => {
    for (const file of files) {
      const bad = parse(readFileSync(join(folder, file), 'utf8')) as Bad
      const found = judge(bad.in, spoil(sets.get(bad.in) ?? [], bad), facts)
      const expected = [ruleOf(file), ...(bad.also ?? [])].sort()
      t.strictSame([...new Set(found.map(({ rule }) => rule))].sort(), expected, file)
      for (const finding of found) t.match(describe(finding), /^\S+: \S+ .+ \([a-z-]+\)$/, file)
    }
  })
}

t.test('quantities are read as the server reads them', async (t) => {
  const read = ['100m', '1', 2, '192Mi', '1Gi', '0.5', '1k'].map(quantity)
  t.strictSame(read, [0.1, 1, 2, 192 * 2 ** 20, 2 ** 30, 0.5, 1000])
  for (const none of ['', 'much', '1X', undefined]) t.ok(Number.isNaN(quantity(none)), String(none))
})

t.test('selectors choose as the server chooses', async (t) => {
  const labels = { app: 'orders', tier: 'api' }
  const choose = (key: string, operator: string, values?: string[]) =>
    selects({ matchExpressions: [{ key, operator, ...(values ? { values } : {}) }] }, labels)
  t.ok(selects({}, {}), 'an empty one chooses all')
  t.ok(selects({ matchLabels: { app: 'orders' } }, labels))
  t.notOk(selects({ matchLabels: { app: 'order' } }, labels))
  t.ok(choose('app', 'In', ['orders', 'other']))
  t.notOk(choose('app', 'In', ['other']))
  t.notOk(choose('app', 'NotIn', ['orders']))
  t.ok(choose('none', 'NotIn', ['orders']))
  t.ok(choose('app', 'Exists'))
  t.notOk(choose('none', 'Exists'))
  t.ok(choose('none', 'DoesNotExist'))
})
