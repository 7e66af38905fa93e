import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Answers its port as PostgreSQL 17 would, up to the question for its version: a server of that age cannot be installed
 * beside the real one.
 */
export async function startOlderServer(t: { teardown(fn: () => void): void }): Promise<number> {
  const server = createServer((socket) => {
    const message = (type: string, ...parts: Buffer[]) => {
      const body = Buffer.concat(parts)
      const head = Buffer.alloc(5)
      head.write(type)
      head.writeInt32BE(body.length + 4, 1)
      return Buffer.concat([head, body])
    }
    const number = (value: number, bytes: number) => Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex')
    const ready = message('Z', Buffer.from('I'))
    const column = [Buffer.from('server_version_num\0'), number(0, 4), number(0, 2), number(25, 4), number(65535, 2)]
    const answer = [
      message('1'),
      message('2'),
      message('T', number(1, 2), ...column, number(0, 4), number(0, 2)),
      message('D', number(1, 2), number(6, 4), Buffer.from('170004')),
      message('C', Buffer.from('SHOW\0')),
      ready,
    ]
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', number(0, 4)), ready]))
      socket.on('data', (bytes) => {
        if (bytes[0] !== 'X'.charCodeAt(0)) socket.write(Buffer.concat(answer))
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  return (server.address() as { port: number }).port
}
