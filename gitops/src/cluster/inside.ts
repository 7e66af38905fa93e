/** The cluster and its scenario, as the first program of namespaces of its own (see run.ts). */
import { execFileSync } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readApplications } from '../applications.ts'
import { addressesOf } from '../delivery/facts.ts'
import { addresses, registryPort } from './addresses.ts'
import { boot, type Machine, prepare } from './boot.ts'
import { createChartRepositories } from './charts.ts'
import { startForge } from './forge.ts'
import { makeFork, repositoryUrl } from './fork.ts'
import { notify } from './notify.ts'
import { readPrograms } from './program-paths.ts'
import { createReleaseImages, releaseRegistry } from './release-images.ts'
import { type Context, runSteps, table } from './scenario/step.ts'
import { requiredSteps, steps } from './scenario/steps.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, hold: { type: 'boolean' }, 'keep-logs': { type: 'string' } },
})
const [folder = ''] = positionals
const gatewayAddress = '10.96.0.80'
const [address = new URL('https://orders.localhost')] = addressesOf('local')

const programs = await readPrograms()
const machine = await boot(folder, programs)
try {
  const context = await createContext(machine)
  const chosen = steps.filter(
    ({ name }) => values.only === undefined || requiredSteps.has(name) || name.includes(values.only),
  )
  const rows = await runSteps(chosen, context, requiredSteps)
  console.log(`\n${table(rows)}`)
  if (rows.some(({ result }) => result !== 'passed')) process.exitCode = 1
} catch (error) {
  console.error((error as Error).stack)
  process.exitCode = 1
}
if (values['keep-logs'] !== undefined) cpSync(machine.logs, values['keep-logs'], { recursive: true })
if (values.hold) await new Promise(() => setInterval(() => {}, 1000))
process.exit()

async function createContext({ kubernetes, plane }: Machine): Promise<Context> {
  const registry = `http://${addresses.host}:${registryPort}`
  const fork = makeFork(folder)
  const charts = (await readApplications('local')).flatMap(({ chart }) => chart ?? [])
  const repositories = await createChartRepositories(charts)
  const forge = await startForge(plane.authority, fork.served, repositories)
  nameHosts(forge.hosts)
  process.env.KUBECONFIG = plane.kubeconfig
  process.env.SSL_CERT_FILE = join(folder, 'pki/ca.crt')
  process.env.PATH = `${linkPrograms(['kubectl', 'helm', 'kustomize', 'argocd'])}:${process.env.PATH}`
  await prepare(machine, forge.hosts)
  const images = await createReleaseImages(folder, registry)
  const source = fork.tip()
  const image = await images.push(source)
  fork.release('adopt', '--repo', repositoryUrl, '--registry', releaseRegistry, '--domain', 'orders.internal')
  fork.release('bump', '--env', 'local', '--image', image, '--commit', source)
  const authority = async () => {
    const secret = await kubernetes.read('/api/v1/namespaces/orders-local/secrets/orders-api-tls')
    return Buffer.from(String(secret?.data?.['ca.crt'] ?? ''), 'base64').toString()
  }
  return {
    kubernetes,
    fork,
    images,
    folder,
    address,
    authority,
    notify: () => notify(kubernetes, fork),
    local: { machine, forge },
  }
}

/** Names the hosts of the forge and of the service for the programs that run here; the file is of these namespaces only. */
function nameHosts(hosts: string[]): void {
  const file = join(folder, 'hosts')
  const lines = ['127.0.0.1 localhost', `${addresses.host} ${hosts.join(' ')}`, `${gatewayAddress} ${address.hostname}`]
  writeFileSync(file, `${lines.join('\n')}\n`)
  execFileSync('mount', ['--bind', file, '/etc/hosts'])
}

function linkPrograms(names: string[]): string {
  const bin = join(folder, 'bin')
  execFileSync('mkdir', ['-p', bin])
  for (const name of names) execFileSync('ln', ['-s', programs(name), join(bin, name)])
  return bin
}
