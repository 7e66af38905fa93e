import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { parseAllDocuments, stringify } from 'yaml'
import { readApplications } from '../src/applications.ts'
import { templateChart } from '../src/helm.ts'
import { build, canRender, kustomizeMissing } from '../src/kustomize.ts'
import { writeRelease } from '../src/release/release-file.ts'
import { gitopsRoot, renderAll, targetNames } from '../src/render.ts'

const rendering = await canRender()
if (!rendering) t.comment(kustomizeMissing)

async function run(script: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(gitopsRoot, 'src', script), ...args], { env: { ...process.env, ...env } })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { out, err, code }
}

t.test('a target has a folder of its name in every room', async (t) => {
  const targets = targetNames()
  t.strictSame(targets, ['dev-azure', 'local', 'prod-aws', 'prod-azure', 'staging-aws', 'staging-azure'])
  const folders = (pattern: string) =>
    globSync(pattern, { cwd: gitopsRoot })
      .map((it) => basename(it))
      .sort()
  t.strictSame(folders('targets/*/'), ['fork', ...targets].sort())
  t.strictSame(folders('bootstrap/overlays/*/'), targets)
  t.strictSame(folders('platform/cluster/overlays/*/'), targets)
  t.strictSame(folders('platform/gateway/overlays/*/'), targets)
  t.strictSame(folders('apps/orders/overlays/*/'), [...targets, 'preview'].sort())
})

t.test('a fact stands once', async (t) => {
  const files = globSync('{apps,argocd,bootstrap,platform,targets}/**/*.yaml', { cwd: gitopsRoot })
  const facts = readFileSync(join(gitopsRoot, 'targets/fork/facts.yaml'), 'utf8')
  const values = [...facts.matchAll(/^ {2}(domain|registry|repository): (.+)$/gm)].map(([, , value = '']) => value)
  t.equal(values.length, 3)
  const copies = files.filter((file) => {
    if (file === 'targets/fork/facts.yaml' || file.startsWith('apps/orders/releases/')) return false
    const found = readFileSync(join(gitopsRoot, file), 'utf8')
    return values.some((value) => found.includes(value))
  })
  t.strictSame(copies, [])
})

t.test('what cannot be rendered is told in a sentence', async (t) => {
  const missing = await run('render-cli.ts', [], { PATH: t.testdir({}) })
  t.strictSame(missing, { out: '', err: `${kustomizeMissing}\n`, code: 1 })
  if (!rendering) return
  await t.rejects(renderAll(gitopsRoot, ['apps/orders/overlays/nowhere']), /nowhere is not a folder of gitops/)
  const broken = t.testdir({ 'kustomization.yaml': 'resources: [missing.yaml]\n' })
  await t.rejects(build(broken), /cannot be rendered: .*missing\.yaml/s)
})

t.test('every target gets its own Applications', async (t) => {
  if (!rendering) return
  const charts = new Set<string>()
  for (const target of targetNames()) {
    const applications = await readApplications(target)
    const paths = applications.flatMap(({ path }) => path ?? [])
    t.ok(paths.includes(`gitops/apps/orders/overlays/${target}`), `${target} deploys its own overlay`)
    for (const path of paths) t.ok(readdirSync(join(gitopsRoot, '..', path)).includes('kustomization.yaml'), path)
    for (const { chart } of applications) {
      if (chart === undefined) continue
      charts.add(chart.name)
      t.match(chart.version, /^v?\d+\.\d+\.\d+$/, `${chart.name} has an exact version`)
      t.ok(chart.valueFiles.length > 0, `${chart.name} has values`)
    }
  }
  t.ok(charts.size >= 13, 'the add-ons are there')
})

t.test('a preview is what its pull request says', async (t) => {
  if (!rendering) return
  const sets = parseAllDocuments(await build(join(gitopsRoot, 'argocd/overlays/dev-azure'))).map((it) => it.toJS())
  const { source, destination } = sets.find(({ kind }) => kind === 'ApplicationSet').spec.template.spec
  const head = 'a'.repeat(40)
  const numbered = (value: string) => value.replace('{{ .number }}', '7').replace('{{ .head_sha }}', head)
  const [, name = '', tag = ''] = /^(.+):([^:]+)$/.exec(numbered(source.kustomize.images[0])) ?? []

  // What Argo CD does to the overlay before it renders it.
  const root = t.testdir({})
  cpSync(join(gitopsRoot, 'apps'), join(root, 'apps'), { recursive: true })
  cpSync(join(gitopsRoot, 'targets'), join(root, 'targets'), { recursive: true })
  const file = join(root, source.path.replace('gitops/', ''), 'kustomization.yaml')
  const overlay = parseAllDocuments(readFileSync(file, 'utf8'))[0]?.toJS()
  const changed = { ...overlay, namespace: numbered(source.kustomize.namespace), images: [{ name, newTag: tag }] }
  writeFileSync(file, stringify(changed))

  const yaml = await build(dirname(file))
  t.notMatch(yaml, 'orders-preview', 'the name without a number is gone')
  const all = parseAllDocuments(yaml).map((it) => it.toJS())
  const one = (kind: string) => all.find((it) => it.kind === kind)
  const namespace = numbered(destination.namespace)
  t.equal(one('Namespace').metadata.name, namespace)
  t.strictSame([...new Set(all.flatMap(({ metadata }) => metadata.namespace ?? []))], [namespace])
  t.equal(one('SecretStore').spec.provider.kubernetes.remoteNamespace, namespace)
  const { hostnames, parentRefs } = one('HTTPRoute').spec
  const [host] = hostnames
  t.equal(parentRefs[0].sectionName, 'previews', 'it shares the Gateway of dev, and not its host')
  t.match(host, /^orders-pr-7\.dev\./)
  t.match(yaml, `https://${host}/`, 'the smoke test asks for it')
  t.match(
    one('ScaledObject').spec.triggers[0].metadata.query,
    `namespace="${namespace}"`,
    'it scales by its own backlog',
  )
  const images = new Set([...yaml.matchAll(/image: (.*orders-api.*)/g)].map(([, image]) => image))
  t.strictSame([...images], [`${name}:sha-${head}`], 'the image of this very commit')
})

t.test('bootstrap installs what Argo CD then keeps', async (t) => {
  const unknown = await run('bootstrap-cli.ts', ['nowhere'])
  t.match(unknown.err, /^nowhere is not a target: name one of dev-azure, local, .*\.\n$/)
  t.equal(unknown.code, 1)
  if (!rendering) return
  const argocd = (await readApplications('local')).find(({ name }) => name === 'argocd')
  const { out } = await run('bootstrap-cli.ts', ['local', '--context', 'kind-orders', '--print'])
  const [install = '', apply = ''] = out.split('\n')
  t.match(install, `--version ${argocd?.chart?.version} --namespace argocd `)
  t.match(install, /^helm upgrade --install argocd argo-cd .* --kube-context kind-orders$/)
  t.match(apply, /^kubectl apply --server-side .* --context kind-orders$/)
  t.match(out, /kind: Application[\s\S]*path: gitops\/argocd\/overlays\/local/)
  t.match((await run('bootstrap-cli.ts', ['local'], { PATH: t.testdir({}) })).err, kustomizeMissing)
})

t.test('a chart is rendered with the values of its Application', async (t) => {
  const files = {
    'Chart.yaml': 'apiVersion: v2\nname: planted\nversion: 1.2.3\n',
    templates: { 'a.yaml': 'kind: ConfigMap\ndata: { a: "{{ .Values.a }}", b: "{{ .Values.b }}" }\n' },
  }
  const folder = t.testdir({ planted: files, 'a.yaml': 'a: from file\nb: from file\n' })
  const packed = spawn('tar', ['-czf', 'planted-1.2.3.tgz', 'planted'], { cwd: folder })
  await once(packed, 'close')
  const index = {
    apiVersion: 'v1',
    entries: { planted: [{ name: 'planted', version: '1.2.3', urls: ['planted-1.2.3.tgz'] }] },
  }
  const server = createServer(({ url }, answer) => {
    if (url === '/index.yaml') answer.end(JSON.stringify(index))
    else answer.end(readFileSync(join(folder, 'planted-1.2.3.tgz')))
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const chart = {
    repository: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    name: 'planted',
    version: '1.2.3',
    release: 'planted',
    valueFiles: [join(folder, 'a.yaml')],
    values: { b: 'from Application' },
  }
  const application = { name: 'planted', namespace: 'default', path: undefined, chart }
  const outcome = templateChart(application, chart)
  if (
    (await outcome.catch((error: Error) => error.message)) ===
    'This needs helm 3.14 or newer: install it and put it on PATH.'
  ) {
    t.comment('without helm, charts are not rendered')
    return
  }
  t.match(await outcome, /a: "from file", b: "from Application"/)
  await t.rejects(templateChart(application, { ...chart, version: '9.9.9' }), /The chart of planted cannot be used: /)
})

const commitKey = 'org.opencontainers.image.revision'

/**
 * The names of the pods that carry the commit of a release, of those that run its image, and of what leads requests to them
 * and carries the commit.
 */
function changedByRelease(yaml: string, { commit, digest }: { commit: string; digest: string }) {
  const marked: string[] = []
  const running: string[] = []
  const entry: string[] = []
  for (const document of parseAllDocuments(yaml)) {
    const { kind, metadata, spec } = document.toJS()
    const { metadata: labels, spec: pod } = spec?.template ?? {}
    const images: { image: string }[] = pod?.containers ?? []
    const name = `${kind} ${metadata?.name}`
    if (labels?.annotations?.[commitKey] === commit) marked.push(name)
    if (/^(Service|HTTPRoute) orders-api/.test(name) && metadata.annotations?.[commitKey] === commit) entry.push(name)
    if (images.some(({ image }) => image.endsWith(digest))) running.push(name)
  }
  return { marked: marked.sort(), running: running.sort(), entry }
}

t.test(
  'a release restarts only the pods that run its image, and leaves to a canary its Services and its route',
  async (t) => {
    if (!rendering) return
    const release = { commit: 'c'.repeat(40), digest: `sha256:${'d'.repeat(64)}` }
    const root = t.testdir({})
    for (const folder of ['apps', 'targets']) cpSync(join(gitopsRoot, folder), join(root, folder), { recursive: true })
    for (const file of globSync('apps/orders/releases/*/kustomization.yaml', { cwd: root })) {
      const path = join(root, file)
      const images = [{ name: 'orders-api', newName: 'registry.example.com/orders/orders-api', digest: release.digest }]
      writeFileSync(path, writeRelease(readFileSync(path, 'utf8'), file, { commit: release.commit, images }))
    }
    const overlays = globSync('apps/orders/overlays/*/', { cwd: root })
    t.equal(overlays.length, 7)
    for (const overlay of overlays) {
      const { marked, running, entry } = changedByRelease(await build(join(root, overlay)), release)
      t.ok(marked.length >= 4, `${overlay}: ${marked.join(', ')}`)
      t.strictSame(marked, running, overlay)
      t.strictSame(entry, [], overlay)
    }
    const early = join(root, 'apps/orders/overlays/local/kustomization.yaml')
    const late = '  - ../../releases/local\n'
    const text = readFileSync(early, 'utf8').replace(late, '')
    writeFileSync(early, text.replace('  - ../../components/local\n', `${late}  - ../../components/local\n`))
    const control = changedByRelease(await build(dirname(early)), release)
    t.ok(control.marked.includes('Deployment orders-redis'), 'control: a component that stands before the release')
    t.strictSame(control.entry, ['Service orders-api', 'HTTPRoute orders-api'], 'control: an entry')
  },
)
