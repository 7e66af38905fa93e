import rhea, { type Connection, type EventContext } from 'rhea'
import type { BrokerAddress } from './address.ts'
import { BrokerError } from './error.ts'

/** One connection, from its first byte to its last. */
export type Line = {
  connection: Connection
  /** Resolves with the reason when the connection can no longer be used. */
  lost: Promise<BrokerError>
  /** Cuts it, whatever is under way. */
  cut(why: Error): void
  /** Says goodbye; resolves when the broker has, or after a second. */
  close(): Promise<void>
}

/** The broker says something this often; half a minute of silence is the end. */
const idleMs = 15_000
const goodbyeMs = 1000

const ends = [
  ...['connection_error', 'connection_close', 'disconnected', 'protocol_error', 'error'],
  ...['session_error', 'session_close', 'sender_error', 'sender_close', 'receiver_error', 'receiver_close'],
]

/** Begins to connect. Where a session or a link ends, the whole connection counts as lost: it is made anew then. */
export function dial({ host, port, tls, login }: BrokerAddress): Line {
  const lost = Promise.withResolvers<BrokerError>()
  const connection = rhea.create_container().connect({
    ...(tls ? { transport: 'tls' } : { transport: 'tcp' }),
    host,
    port,
    hostname: host,
    idle_time_out: idleMs,
    // The library's own way back has no jitter, and cannot renew a token.
    reconnect: false,
    ...(login ?? { username: 'anonymous' }),
  })
  connection.socket.setNoDelay(true)
  // The library may set its clock once more when it closes, and would hold the process for half a minute.
  connection.socket.once('close', () => setImmediate(() => clearTimeout(connection.heartbeat_in)))
  for (const event of ends) connection.on(event, (context) => lost.resolve(new BrokerError(reasonOf(context))))
  let over = false
  const end = () => {
    over = true
  }
  lost.promise.then(end, end)
  const cut = (why: Error) => {
    lost.resolve(new BrokerError(why.message))
    connection.socket.destroy(why)
  }
  return {
    connection,
    lost: lost.promise,
    cut,
    async close() {
      if (over) return
      connection.close()
      const timer = setTimeout(() => lost.resolve(new BrokerError('closed')), goodbyeMs)
      const why = await lost.promise
      clearTimeout(timer)
      cut(why)
    },
  }
}

function reasonOf(context: EventContext | Error): string {
  if (context instanceof Error) return context.message
  const { error, connection, session, sender, receiver } = context
  const found = error ?? receiver?.error ?? sender?.error ?? session?.error ?? connection.error
  if (!found) return 'the broker closed the connection'
  const { condition, description, message } = found as { condition?: string; description?: string; message?: string }
  if (condition === 'amqp:unauthorized-access')
    return `the broker refuses the login or what it may do (${description ?? condition})`
  return description || message || condition || 'the connection broke'
}
