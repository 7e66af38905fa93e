/** The cluster and its scenario, as the first program of namespaces of its own (see run.ts). */
import { execFileSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parse, stringify } from 'yaml'
import { readApplications } from '../applications.ts'
import { addresses, registryPort } from './addresses.ts'
import { boot, type Machine, prepare } from './boot.ts'
import { createChartRepositories } from './charts.ts'
import { createContext, serviceAddress } from './context.ts'
import type { Programs } from './control-plane.ts'
import { startForge } from './forge.ts'
import { makeFork } from './fork.ts'
import { publishImages } from './images/publish.ts'
import { insideOptions } from './options.ts'
import { nameEnvoy, repinImages, serverImages } from './pinned-images.ts'
import { programNames } from './pins.ts'
import { readPrograms } from './program-paths.ts'
import { provenance } from './provenance.ts'
import { type Context, runScenario, summary } from './scenario/step.ts'
import { requiredSteps, shortSteps, steps } from './scenario/steps.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: insideOptions })
const [folder = ''] = positionals
// The address of the gateway's Service in the target `local`.
const gatewayAddress = '10.96.0.80'

if (values['keep-logs'] !== undefined) mkdirSync(values['keep-logs'], { recursive: true })
const names = programNames(values.short ?? false)
const programs = await readPrograms(names)
const machine = await boot(folder, programs)
try {
  const context = await deployable(machine, programs)
  const rows = await runScenario(values.short ? shortSteps : steps, context, requiredSteps, values.only)
  process.exitCode = rows.every(({ result }) => result === 'passed') ? 0 : 1
  console.log(`\n${provenance(await wantedCharts(), names).join('\n')}\n\n${summary(rows)}`)
} catch (error) {
  console.error((error as Error).stack)
  process.exitCode = 1
}
if (values['keep-logs'] !== undefined) cpSync(machine.logs, values['keep-logs'], { recursive: true })
if (values.hold) await new Promise(() => setInterval(() => {}, 1000))
process.exit()

async function wantedCharts() {
  return (await readApplications('local')).flatMap(({ chart }) => chart ?? [])
}

/** What Argo CD will need: the fork, charts, images and names; the cluster itself is still empty. */
async function deployable(machine: Machine, programs: Programs): Promise<Context> {
  const { kubernetes, plane } = machine
  const registry = `http://${addresses.host}:${registryPort}`
  const fork = makeFork(folder)
  const charts = await createChartRepositories(await wantedCharts(), registry, names)
  const forge = await startForge(plane.authority, fork.served, charts)
  nameHosts(forge.hosts)
  process.env.KUBECONFIG = plane.kubeconfig
  process.env.SSL_CERT_FILE = join(folder, 'pki/ca.crt')
  process.env.PATH = `${linkPrograms(programs, ['kubectl', 'helm', 'kustomize', 'argocd'])}:${process.env.PATH}`
  const digests = await publishImages(registry, plane.authority.certificate, serverImages(fork.clone), names)
  repinImages(fork.clone, digests)
  nameEnvoy(fork.clone)
  // The program of the Job that migrates stored policies is not built; an empty cluster has none.
  const kyverno = { crds: { migration: { enabled: false } } }
  appendFileSync(join(fork.clone, 'gitops/platform/kyverno/local/values.yaml'), stringify(kyverno))
  takePluginFromImage(fork.clone)
  fork.commit('Pin the images that this cluster has')
  await prepare(machine, forge.hosts)
  return { ...(await createContext(kubernetes, fork, folder, registry)), local: { machine, forge, charts, programs } }
}

/** No release of the plugin can be downloaded here: the image of the controller has the plugin. */
function takePluginFromImage(clone: string): void {
  const file = join(clone, 'gitops/platform/argo-rollouts/values.yaml')
  const values = parse(readFileSync(file, 'utf8'))
  const [{ name }] = values.controller.trafficRouterPlugins
  values.controller.trafficRouterPlugins = [{ name, location: 'file:///plugins/gateway-api' }]
  writeFileSync(file, stringify(values))
}

/** Names the forge and the service for the programs that run here; the file is of these namespaces only. */
function nameHosts(hosts: string[]): void {
  const file = join(folder, 'hosts')
  const names = [`${addresses.host} ${hosts.join(' ')}`, `${gatewayAddress} ${serviceAddress.hostname}`]
  writeFileSync(file, `${['127.0.0.1 localhost', ...names].join('\n')}\n`)
  execFileSync('mount', ['--bind', file, '/etc/hosts'])
}

function linkPrograms(programs: Programs, names: string[]): string {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  for (const name of names) symlinkSync(programs(name), join(bin, name))
  return bin
}
