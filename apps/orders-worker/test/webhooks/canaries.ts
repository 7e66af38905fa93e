import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import { innerAddresses } from '@orders/runtime/testing'

/** Public addresses, which a network namespace of its own can have: nobody is asked, and nobody hears of it. */
export const outside = ['93.184.215.14', '2606:2800:21f:cb07::1']

/**
 * Addresses that `lo` can be given. Not those of multicast and broadcast and `::`, where TCP cannot listen, and not
 * fe80::1, to which no URL connects since it has no zone.
 */
const listenable = [...innerAddresses.v4, ...innerAddresses.v6].filter(
  (it) => !/^(?:0\.|22[4-9]|2[345]\d\.|::$|ff|fe80)/.test(it),
)

/**
 * The start of a command line that runs a program with all these addresses on its loopback interface, in a network of its
 * own with no way out. Where that is not allowed, nothing: the program then has this machine's own addresses.
 */
export async function inOwnNetwork(): Promise<string[]> {
  const added = [...listenable, ...outside].filter((it) => !it.startsWith('127.') && it !== '::1')
  const commands = added.map((it) => `ip addr add ${it}/${it.includes(':') ? 128 : 32} dev lo`)
  const setUp = ['ip link set lo up', ...commands, 'exec "$@"'].join(' && ')
  const command = ['unshare', '--map-root-user', '--net', 'sh', '-c', setUp, 'sh']
  return promisify(execFile)('unshare', [...command.slice(1), 'true']).then(
    () => command,
    () => [],
  )
}

/** Listens wherever it can, and counts who comes and what is said. */
export async function startCanaries(ports: number[]) {
  const own = Object.values(networkInterfaces()).flatMap((it) => it?.map(({ address }) => address) ?? [])
  const addresses = new Set([...listenable, ...own].filter((it) => !outside.includes(it)))
  const heard = { connections: 0, bytes: 0, at: new Set<string>() }
  const servers: Server[] = []
  for (const port of ports) {
    for (const host of addresses) {
      const server = createServer((socket) => {
        heard.connections++
        socket.on('error', () => {})
        socket.once('data', (data) => {
          heard.bytes += data.length
          heard.at.add(host)
          socket.resetAndDestroy()
        })
      })
      if (await listens(server, host, port)) servers.push(server)
    }
  }
  return {
    addresses: new Set(servers.map((it) => Reflect.get(it.address() ?? {}, 'address') as string)),
    heard,
    close: () => {
      for (const server of servers) server.close()
    },
  }
}

function listens(server: Server, host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  server.once('error', () => resolve(false))
  server.listen(port, host, () => resolve(true))
  return promise
}
