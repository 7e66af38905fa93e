import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type Resource = {
  apiVersion?: string
  kind?: string
  metadata: {
    name: string
    namespace?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
    creationTimestamp?: string
    deletionTimestamp?: string
    [key: string]: unknown
  }
  // biome-ignore lint/suspicious/noExplicitAny: the fields of any kind of resource
  [key: string]: any
}

/** As it stands in a file. */
export type Manifest = { apiVersion: string; kind: string; metadata?: unknown; [key: string]: unknown }

export type Kubernetes = {
  /** Runs kubectl and answers its output. Throws an Error with what it printed. */
  kubectl: (...args: string[]) => Promise<string>
  apply: (...manifests: unknown[]) => Promise<void>
  /** Reads a path of the API, as `/api/v1/nodes`; undefined when there is nothing. */
  read: (path: string) => Promise<Resource | undefined>
  list: (path: string) => Promise<Resource[]>
  /** What the server would make of a manifest, by strict server-side apply. Throws an Error with the server's message. */
  dryRun: (manifest: Manifest) => Promise<Resource>
  close: () => void
}

/** A client of the cluster that the kubeconfig names. Reads go through one `kubectl proxy`, so they cost no process each. */
export async function connect(kubectlPath: string, kubeconfig: string): Promise<Kubernetes> {
  const options = { env: { ...process.env, KUBECONFIG: kubeconfig }, maxBuffer: 2 ** 28 }
  const proxy = spawn(kubectlPath, ['proxy', '--port=0'], { env: options.env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(proxy.stdout), 'line')) as [string]
  const base = `http://${line.split(' ').at(-1)}`
  const kubectl = async (...args: string[]) => {
    const { stdout } = await run(kubectlPath, args, options).catch((error: { stderr?: string; message: string }) => {
      throw new Error(`kubectl ${args.slice(0, 4).join(' ')}: ${error.stderr?.trim() || error.message}`)
    })
    return stdout.trim()
  }
  const apply = async (...manifests: unknown[]) => {
    const list = { apiVersion: 'v1', kind: 'List', items: manifests }
    const child = run(kubectlPath, ['apply', '--server-side', '--force-conflicts', '--filename=-'], options)
    child.child.stdin?.end(JSON.stringify(list))
    await child.catch((error: { stderr?: string; message: string }) => {
      throw new Error(`kubectl apply: ${error.stderr?.trim() || error.message}`)
    })
  }
  const read = async (path: string) => {
    const answer = await fetch(`${base}${path}`)
    if (answer.status === 404) return undefined
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as Resource
  }
  const list = async (path: string) => ((await read(path))?.items as Resource[]) ?? []
  const plurals = new Map<string, { name: string; kind: string; namespaced: boolean }[]>()
  const pathOf = async ({ apiVersion, kind, metadata }: Manifest) => {
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    if (!plurals.has(base)) plurals.set(base, (await read(base))?.resources ?? [])
    const resource = plurals.get(base)?.find((one) => one.kind === kind && !one.name.includes('/'))
    if (resource === undefined) {
      plurals.delete(base)
      throw new Error(`The server knows no ${kind} of ${apiVersion}.`)
    }
    const { name, namespace = 'default' } = metadata as { name: string; namespace?: string }
    return `${base}${resource.namespaced ? `/namespaces/${namespace}` : ''}/${resource.name}/${name}`
  }
  const dryRun = async (manifest: Manifest) => {
    const query = 'dryRun=All&fieldValidation=Strict&fieldManager=dry-run&force=true'
    const answer = await fetch(`${base}${await pathOf(manifest)}?${query}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/apply-patch+yaml' },
      body: JSON.stringify(manifest),
    })
    const body = (await answer.json()) as Resource
    if (!answer.ok) throw new Error(String(body.message))
    return body
  }
  return { kubectl, apply, read, list, dryRun, close: () => void proxy.kill() }
}
