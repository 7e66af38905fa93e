import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { unexplained } from '../src/check/linter.ts'
import { exceptions } from '../src/check/linter-exceptions.ts'
import { missingMentions } from '../src/check/mentions.ts'
import { missingMetrics, queriesOf } from '../src/check/metrics.ts'
import { differencesOf, remoteBases } from '../src/check/rendering.ts'
import { readSettings, settingsOf } from '../src/check/service.ts'
import { kustomizeMissing } from '../src/kustomize.ts'
import { readExposition } from '../src/monitoring/exposition.ts'
import { readDocuments } from '../src/rules/documents.ts'
import { execute } from '../src/tools/cache.ts'
import { checkedVersions, minorOf } from '../src/tools/kubernetes-versions.ts'
import { schemasOf } from '../src/tools/schemas.ts'
import pins from '../tools.json' with { type: 'json' }

const controls = join(import.meta.dirname, 'bad/controls')
const read = (name: string) => readFileSync(join(controls, name), 'utf8')

/** Runs a program of this project where nothing is on PATH, with a cache of its own. */
async function alone(script: string, cache: string) {
  const options = { env: { PATH: '/nonexistent', XDG_CACHE_HOME: cache } }
  return promisify(execFile)(process.execPath, [join(import.meta.dirname, '../src', script)], options).then(
    ({ stdout, stderr }) => ({ code: 0, said: `${stdout}${stderr}` }),
    ({ code, stdout, stderr }) => ({ code, said: `${stdout}${stderr}` }),
  )
}

t.test('one sentence says what to install where nothing can render', async (t) => {
  const { code, said } = await alone('check.ts', t.testdir())
  t.equal(code, 1)
  t.match(said, /^FAILED {2}rendering \(\d+\.\d s\)\n {8}(.+)\n$/)
  t.equal(said.split('\n')[1]?.trim(), kustomizeMissing)
})

t.test('one sentence says what to install where a tool cannot be made', async (t) => {
  const { code, said } = await alone('tools.ts', t.testdir())
  t.equal(code, 1)
  t.match(said, /^kubeconform was not built: install Go 1\.26 or newer, .+\.$/m)
})

t.test('a tool that is not there yet is named, with how to get it', async (t) => {
  const { said } = await alone('../test/check/ask-tool.ts', t.testdir())
  t.match(said, /kubeconform 0\.8\.0 is missing: run npx nx run gitops:tools\./)
})

t.test('a folder of the cache appears whole, once, or not at all', async (t) => {
  const cache = t.testdir()
  const { code, said } = await alone('../test/check/fill-cache.ts', cache)
  t.equal(code, 0, said)
  t.match(said, /^filled \d+ time\(s\), one folder: true\nfailed: broken on purpose\n$/)
  t.strictSame(readdirSync(join(cache, 'orders-tools')), ['whole'], 'no draft is left')
  t.ok(existsSync(join(cache, 'orders-tools/whole/file')))
})

t.test('every tool and schema is pinned to one version', async (t) => {
  const { kubernetes, crds } = pins.schemas
  for (const { version, how, package: name } of [...Object.values(pins.tools)]) {
    t.match(version, /^\d+\.\d+\.\d+(\.\d+)?$/, name)
    t.match(how, /^(go|pip|apt)$/, name)
  }
  for (const { version, package: name } of [kubernetes, ...crds]) t.match(version, /^\d+\.\d+\.\d+$/, name)
})

t.test('manifests are checked against the version of the targets and the next minor version', async (t) => {
  const [target = '', next = ''] = checkedVersions
  for (const version of [target, next]) t.match(version, /^1\.\d+\.\d+$/)
  t.equal(Number(minorOf(next).split('.')[1]), Number(minorOf(target).split('.')[1]) + 1)
})

t.test('a failing program is quoted after what to do about it', async (t) => {
  const failing = execute('Do this.', process.execPath, ['-e', 'console.log("1"); console.error("2"); process.exit(3)'])
  await t.rejects(failing, { message: 'Do this.\n1\n2' })
})

t.test('a rendering that changes is found', async (t) => {
  const first = [
    { path: 'a', yaml: 'a: 1' },
    { path: 'b', yaml: 'b: 1' },
  ]
  t.strictSame(differencesOf(first, structuredClone(first)), [])
  t.strictSame(differencesOf(first, [first[0] as (typeof first)[0], { path: 'b', yaml: 'b: 1 ' }]), [
    'b is not the same when it is rendered again',
  ])
  t.equal(differencesOf(first, []).length, 2)
})

t.test('what comes from elsewhere is found, and only that', async (t) => {
  t.strictSame(remoteBases(), [])
  const found = remoteBases(join(controls, 'remote'))
  t.strictSame(
    found.map((says) => /takes (.+) from elsewhere/.exec(says)?.[1]),
    [
      'https://example.com/install.yaml',
      'git@example.com:orders/base',
      'example.com/orders/base?ref=main',
      'github.com/example/orders//base',
      'chart chart of https://charts.example.com',
    ],
  )
  t.match(remoteBases(t.testdir()), [/nothing was looked at/])
})

t.test('settings are those of each process', async (t) => {
  const settings = await readSettings()
  const own = {
    'apps/orders-api/src/server.ts': ['PORT', 'HOST', 'ADMIN_PORT', 'DATABASE_URL_FILE'],
    'apps/orders-worker/src/worker.ts': ['ADMIN_PORT', 'DATABASE_URL_FILE'],
  }
  t.strictSame(Object.keys(settings), Object.keys(own))
  for (const [program, expected] of Object.entries(own)) {
    const its = settings[program] ?? []
    t.strictSame(
      its.filter(({ required }) => required).map(({ name }) => name),
      ['DATABASE_URL'],
    )
    for (const name of expected) t.ok(its.map(({ name }) => name).includes(name), name)
  }
  t.notOk(settings['apps/orders-worker/src/worker.ts']?.some(({ name }) => name === 'PORT'))
  t.throws(() => settingsOf('Usage: none'), { message: /names no setting/ })
})

t.test('queries of alerts, analyses and dashboards are compared with a scrape', async (t) => {
  const queries = queriesOf(readDocuments(read('metrics.yaml')))
  t.strictSame(
    queries.map(({ where }) => where),
    [
      'PrometheusRule/orders OrdersLost',
      'AnalysisTemplate/orders errors',
      'ConfigMap/dashboard Lost',
      'ScaledObject/orders backlog',
    ],
  )
  const told = readExposition('http_requests_total{status="200"} 1\n')
  const [lost, label, panel, scaler] = missingMetrics(queries, told)
  t.match(lost, /\/metrics has no orders_lost_total/)
  t.match(label, /has no label code/)
  t.match(panel, /^ConfigMap\/dashboard Lost: \/metrics has no orders_lost_total/)
  t.match(scaler, /^ScaledObject\/orders backlog: \/metrics has no orders_lost_total/)
  t.strictSame(missingMetrics(queries, readExposition('orders_lost_total 1\nhttp_requests_total{code="500"} 1\n')), [])
})

t.test('a remark needs a reason, and a reason needs a remark', async (t) => {
  const remark = { path: 'apps/orders', object: 'Deployment/orders-api', check: 'pod-probes', says: 'none' }
  const exception = { check: 'pod-probes', object: /^Deployment\/orders-api$/, because: 'It is so.' }
  t.strictSame(unexplained([remark], [exception]), [])
  t.match(unexplained([remark], []), [/Deployment\/orders-api none \(pod-probes\)/])
  t.match(unexplained([{ ...remark, object: 'Deployment/other' }], [exception]), [/other/, /explains nothing any more/])
  for (const { because } of exceptions) t.match(because, /^[A-Z].{20,}\.$/)
})

t.test('a schema of an add-on refuses what its server would drop', async (t) => {
  const openAPIV3Schema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          port: { 'x-kubernetes-int-or-string': true, anyOf: [] },
          any: {
            type: 'object',
            properties: { known: { type: 'string' } },
            'x-kubernetes-preserve-unknown-fields': true,
          },
          labels: { type: 'object', additionalProperties: { type: 'object', properties: { one: { type: 'string' } } } },
          list: { type: 'array', items: { type: 'object', properties: { name: { type: 'string', nullable: true } } } },
        },
      },
    },
  }
  const versions = [{ name: 'v1', schema: { openAPIV3Schema } }]
  const definition = {
    kind: 'CustomResourceDefinition',
    spec: { group: 'orders.example.com', names: { kind: 'Lot' }, versions },
  }
  const [[file, schema] = []] = schemasOf(definition)
  t.equal(file, 'lot-orders-v1.json')
  const closed = (properties: object) => ({ type: 'object', properties, additionalProperties: false })
  t.match(schema, { additionalProperties: false, properties: { metadata: { $ref: /ObjectMeta$/ } } })
  const { spec } = (schema?.properties ?? {}) as Record<string, unknown>
  t.strictSame(spec, {
    ...closed({
      port: { anyOf: [{ type: 'integer' }, { type: 'string' }] },
      any: { type: 'object', properties: { known: { type: 'string' } }, 'x-kubernetes-preserve-unknown-fields': true },
      labels: { type: 'object', additionalProperties: closed({ one: { type: 'string' } }) },
      list: { type: 'array', items: closed({ name: { type: ['string', 'null'], nullable: true } }) },
    }),
  })
  t.strictSame(schemasOf({ kind: 'ConfigMap' }), [])
  t.strictSame(schemasOf(null), [])
})

t.test('a file that a comment names is there', async (t) => {
  const files = ['gitops/apps/orders/base/a.yaml', 'gitops/README.md']
  const none: ReadonlySet<string> = new Set()
  const missing = (file: string, text: string, allowed = none) => missingMentions([{ file, text }], files, allowed)
  for (const path of ['gitops/apps/orders/base/a.yaml', 'apps/orders/base/a.yaml', '../base/a.yaml', 'base/a.yaml']) {
    t.strictSame(missing('gitops/b.yaml', `# see ${path}.`), [], path)
  }
  t.strictSame(missing('gitops/b.yaml', 'path: base/b.yaml # of it'), [], 'this is no comment')
  t.strictSame(missing('gitops/b.ts', '// https://example.com/base/b.yaml and /base/b.yaml'), [], 'these are elsewhere')
  t.match(missing('gitops/b.yaml', 'a: 1\n# see base/b.yaml'), [/^gitops\/b\.yaml:2 names base\/b\.yaml, which is not/])
  t.match(missing('gitops/b.ts', ' * As base/b.yaml says.'), [/names base\/b\.yaml/])
  t.match(missing('gitops/b.sql', 'SELECT 1 -- base/b.yaml'), [/names base\/b\.yaml/])
  t.match(missing('gitops/README.md', 'See [it](base/b.yaml).'), [/names base\/b\.yaml/])
  t.strictSame(missing('gitops/README.md', 'base/b.yaml', new Set(['base/b.yaml'])), [])
  t.match(missing('gitops/README.md', 'nothing', new Set(['base/b.yaml'])), [/explains nothing any more/])
})
