import { once } from 'node:events'
import { createServer, connect as dial, type Socket } from 'node:net'

type Test = { teardown(fn: () => Promise<void>): void }

/** A way to a database that can be cut as a network is: nothing passes, and nobody is told. */
export async function createValve(t: Test, url: string) {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  let open = true
  const server = createServer((near) => {
    const far = dial(Number(target.port), target.hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (bytes) => {
        if (open) to.write(bytes)
      })
      from.on('error', () => {})
      from.on('close', () => to.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const hangUp = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(async () => {
    hangUp()
    server.close()
  })
  const through = new URL(url)
  through.port = String((server.address() as { port: number }).port)
  return {
    url: through.href,
    hangUp,
    cut: () => {
      open = false
    },
    mend: () => {
      open = true
    },
  }
}
