import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect } from 'node:tls'
import type { Test } from 'tap'
import type { CertificateSpec, Issued } from './certificates.ts'
import type { Find } from './manifests.ts'

/** What to say where Redis is missing. */
export const redisMissing = 'Counting in Redis is tested with redis-server: install it and put it on PATH.'

/** Whether Redis can be started here. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0

type Issue = (spec: CertificateSpec) => Promise<Issued>

const password = 'only-for-this-test'
const service = 'orders-redis'

/**
 * Starts Redis with the arguments, the users, and the certificate of its manifests, on `port` of localhost. Returns the
 * folder that the pod of the service mounts: the address, and the certificate of the authority.
 */
export async function startRedisFromManifest(t: Test, find: Find, issue: Issue, port: string): Promise<string> {
  const certificate = find('Certificate', service).spec as CertificateSpec
  if (!certificate.dnsNames?.includes(service)) throw new Error(`The certificate is not for ${service}`)
  const issued = await issue({ ...certificate, dnsNames: ['localhost'] })
  const { data } = find('ExternalSecret', service).spec.target.template
  const filled = (text: string) => text.replaceAll('{{ .password }}', password)
  const folder = await mkdtemp(join(tmpdir(), 'orders-redis-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const url = filled(data.url).replace(`${service}:6379`, `localhost:${port}`)
  for (const [name, text] of Object.entries({ ...issued, url, 'users.acl': filled(data['users.acl']) })) {
    await writeFile(join(folder, name), text)
  }
  const [container] = find('Deployment', service).spec.template.spec.containers
  const args = (container.args as string[]).map((arg) =>
    arg === '6379' ? port : arg.replace(/^(\/etc\/redis\/(tls|users)|\/tmp)/, folder),
  )
  const child = spawn(container.command[0], args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const said: string[] = []
  for await (const line of createInterface(child.stdout)) {
    said.push(line)
    if (/Ready to accept connections/.test(line)) break
  }
  child.stdout.resume()
  if (child.exitCode !== null) throw new Error(`Redis did not start:\n${said.join('\n')}`)
  return folder
}

/**
 * Sends one command to a rediss:// address, after the log-in, and returns the reply. Rejects if the certificate of the
 * server is not of the authority `ca`.
 */
export async function askRedis(address: string, ca: string, command: string): Promise<string> {
  const { hostname, port, username, password } = new URL(address)
  const socket = connect({ host: hostname, port: Number(port), servername: hostname, ca })
  try {
    await once(socket, 'secureConnect')
    socket.write(`AUTH ${username} ${password}\r\n${command}\r\nQUIT\r\n`)
    const replies: string[] = []
    for await (const line of createInterface(socket)) replies.push(line)
    // Of AUTH, of the command, and of QUIT.
    return replies[0]?.startsWith('-') ? replies[0] : (replies[1] ?? '')
  } finally {
    socket.destroy()
  }
}
