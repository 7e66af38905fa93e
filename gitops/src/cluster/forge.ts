import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type Server } from 'node:https'
import { addresses, registryPort } from './addresses.ts'
import type { Authority } from './certificates.ts'
import type { ChartRepositories } from './charts.ts'
import { gitHost } from './fork.ts'
import { serveRepository } from './git-server.ts'

const apiHost = 'api.github.com'
/** The host of docker.io's registry, where charts in OCI format are. */
const chartRegistryHost = 'registry-1.docker.io'

export type PullRequest = { number: number; sha: string; labels: string[] }

export type Forge = {
  hosts: string[]
  pullRequests: PullRequest[]
  /** Paths of every request, by host, for steps that wait for one. */
  requests: string[]
  port: number
  close: () => Promise<void>
}

/**
 * Serves by HTTPS what a cluster fetches from outside: the Git repositories below `served`, the chart repositories, and the
 * list of pull requests of the forge's API. Every host is this machine; its certificate is of `authority`.
 */
export async function startForge(
  authority: Authority,
  served: string,
  charts: ChartRepositories,
  listen: { host: string; port: number } = { host: addresses.host, port: 443 },
): Promise<Forge> {
  const hosts = [gitHost, apiHost, chartRegistryHost, ...charts.hosts]
  const { certificate, key } = await authority.issue({ commonName: gitHost, dnsNames: hosts })
  const forge = { hosts, pullRequests: [] as PullRequest[], requests: [] as string[] }
  const server = createHttpsServer({ cert: certificate, key }, (request, response) => {
    const host = request.headers.host?.split(':')[0] ?? ''
    forge.requests.push(`${host}${request.url}`)
    if (host === gitHost) serveRepository(served, request, response).catch((error: Error) => response.destroy(error))
    else if (host === apiHost) answerPullRequests(forge.pullRequests, request, response)
    else if (host === chartRegistryHost) forwardToRegistry(request, response)
    else charts.serve(host, request.url ?? '/', response)
  })
  server.listen(listen)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return { ...forge, port, close: () => close(server) }
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((done) => server.close(done))
}

/** The part of GitHub's "List pull requests" that the generator of an ApplicationSet reads. */
function answerPullRequests(pullRequests: PullRequest[], request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? '/', 'https://forge').pathname
  if (!/^\/repos\/[^/]+\/[^/]+\/pulls$/.test(path)) {
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"Not Found"}')
    return
  }
  const list = pullRequests.map(({ number, sha, labels }) => ({
    number,
    title: `Change ${number}`,
    state: 'open',
    user: { login: 'contributor' },
    labels: labels.map((name) => ({ name })),
    head: { ref: `change-${number}`, sha },
    base: { ref: 'main' },
  }))
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(list))
}

function forwardToRegistry(request: IncomingMessage, response: ServerResponse): void {
  const { method, url: path, headers } = request
  const onward = httpRequest({ host: addresses.host, port: registryPort, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  onward.on('error', (error) => response.destroy(error))
  request.pipe(onward)
}
