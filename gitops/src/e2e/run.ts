/** The whole way in a cluster of its own. Usage: nx run gitops:cluster. Needs Docker, kind, kubectl, helm, openssl. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addressesOf } from '../delivery/facts.ts'
import { type Application, unfinished, withoutImage } from './applications.ts'
import { context, createCluster, keepLogs, kubectl, list, registry, removeCluster, run } from './cluster.ts'
import { serveGit } from './git-server.ts'
import { probe } from './prober.ts'
import { commitNothing, type Fork, makeFork, noImage, pushBuilt } from './repository.ts'
import { until } from './until.ts'

const root = join(import.meta.dirname, '../../..')
const namespace = 'orders-local'
const [service] = addressesOf('local')

const applications = () => list<Application>('argocd', 'applications.argoproj.io')

function synced(what: string, minutes: number, fork: Fork) {
  // Argo CD looks every two minutes by itself; asking spares the wait.
  kubectl('--namespace', 'argocd', 'annotate', '--all', '--overwrite', 'app', 'argocd.argoproj.io/refresh=normal')
  return until(what, minutes, async () => unfinished(applications(), fork.tip()))
}

/** By the test of the service itself, trusting the authority of the cluster and no other. */
function smoke(folder: string, address: URL) {
  const encoded = kubectl(
    ...['--namespace', namespace, 'get', 'secret', 'orders-api-tls'],
    '--output=jsonpath={.data.ca\\.crt}',
  )
  const authority = join(folder, 'authority.crt')
  writeFileSync(authority, Buffer.from(encoded, 'base64'))
  run('env', [`NODE_EXTRA_CA_CERTS=${authority}`, process.execPath, 'apps/orders-api/src/smoke.ts', address.href], {
    cwd: root,
  })
  console.log(`smoke test at ${address}: done`)
}

async function scenario(folder: string, address: URL) {
  const gateway = createCluster()
  const fork = makeFork(folder)
  const git = await serveGit(fork.served, gateway)
  try {
    const url = `https://${gateway}:${git.port}/orders/orders`
    console.log(fork.release('adopt', '--repo', url, '--registry', registry, '--domain', 'orders.internal'))
    const built = run('git', ['rev-parse', 'HEAD'], { cwd: root })
    console.log(fork.release('bump', '--env', 'local', '--image', pushBuilt(), '--commit', built))
    kubectl('create', 'namespace', 'argocd')
    const credentials = [`--from-literal=url=${url}`, '--from-literal=type=git', '--from-literal=insecure=true']
    kubectl('--namespace', 'argocd', 'create', 'secret', 'generic', 'fork', ...credentials)
    kubectl('--namespace', 'argocd', 'label', 'secret', 'fork', 'argocd.argoproj.io/secret-type=repository')
    run(process.execPath, ['gitops/src/bootstrap-cli.ts', 'local', '--context', context], { cwd: fork.clone })
    await synced('everything Synced and Healthy', 30, fork)
    smoke(folder, address)

    kubectl('--namespace', namespace, 'delete', 'service', 'orders-api')
    kubectl(
      '--namespace',
      namespace,
      'label',
      'deployment',
      'orders-api',
      'app.kubernetes.io/name=drift',
      '--overwrite',
    )
    await until('drift is healed', 5, async () => {
      const name = '--output=jsonpath={.items[*].metadata.labels.app\\.kubernetes\\.io/name}'
      const found = kubectl(
        '--namespace',
        namespace,
        'get',
        'service,deployment',
        name,
        '--selector=app.kubernetes.io/name=orders-api',
      )
      return found === 'orders-api orders-api' ? [] : [`found ${found || 'nothing'}`]
    })
    await synced('synced after the drift', 10, fork)

    // Unchecked certificates here alone: the smoke test before and after checks them.
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    const prober = probe(new URL('/readyz', address))
    const newer = commitNothing(fork, 'A release whose image nobody has')
    console.log(fork.release('bump', '--env', 'local', '--image', noImage, '--commit', newer))
    kubectl('--namespace', 'argocd', 'annotate', '--overwrite', 'app', 'orders', 'argocd.argoproj.io/refresh=normal')
    await until('the bad digest is tried', 10, async () => {
      const pods = list<Parameters<typeof withoutImage>[0][number]>(namespace, 'pods')
      return withoutImage(pods).length > 0 ? [] : ['no pod asks for it yet']
    })
    console.log(fork.release('rollback', '--env', 'local', '--reason', 'the image does not exist'))
    await synced('a rollback commit restores it', 30, fork)
    const { asked, failures } = await prober.stop()
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    if (failures.length > 0)
      throw new Error(`The bad digest cost ${failures.length} of ${asked} requests: ${failures[0]}.`)
    console.log(`the bad digest cost nobody anything: ${asked} requests, none failed`)
    smoke(folder, address)
  } finally {
    await git.close()
  }
}

if (service === undefined) throw new Error('The target local has no host: restore gitops/targets/local/facts.yaml.')
const folder = mkdtempSync(join(tmpdir(), 'orders-cluster-'))
try {
  await scenario(folder, service)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
  try {
    keepLogs(join(root, 'gitops/.cluster/logs'))
  } catch (fault) {
    console.error(`No logs: ${(fault as Error).message}`)
  }
} finally {
  if (process.argv.includes('--keep')) console.log('The cluster is kept: kind delete cluster --name orders-e2e.')
  else removeCluster()
  rmSync(folder, { recursive: true })
}
