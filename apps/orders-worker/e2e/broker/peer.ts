import { once } from 'node:events'
import rhea, { type EventContext, type Message } from 'rhea'
import { deadLetters, queue, type Rabbitmq, type Test } from './rabbitmq.ts'

const login = { username: 'orders', password: 'secret', reconnect: 50, host: '127.0.0.1' } as const

/** Takes everything out of a queue, also after the broker was away, and keeps it. */
export function collect(t: Test, { port }: Rabbitmq, address = queue) {
  const connection = rhea.create_container({ non_fatal_errors: ['amqp:connection:forced'] }).connect({ ...login, port })
  for (const event of ['disconnected', 'connection_error', 'connection_close', 'session_error', 'session_close']) {
    connection.on(event, () => {})
  }
  const messages: Message[] = []
  connection.open_receiver({ source: { address }, credit_window: 500 }).on('message', ({ message }: EventContext) => {
    if (message) messages.push(message)
  })
  t.teardown(() => connection.close())
  return messages
}

/** Everything that is rejected. */
export const collectDeadLetters = (t: Test, rabbitmq: Rabbitmq) => collect(t, rabbitmq, deadLetters)

/** Puts messages into the queue, as anybody may, and waits until the broker has them. */
export async function put({ port }: Rabbitmq, messages: Message[], address = queue): Promise<void> {
  const connection = rhea.create_container().connect({ ...login, port, reconnect: false })
  const sender = connection.open_sender({ target: { address } })
  await once(sender, 'sendable')
  const accepted = new Promise<void>((resolve) => {
    let left = messages.length
    sender.on('accepted', () => --left === 0 && resolve())
  })
  for (const message of messages) sender.send(message)
  await accepted
  connection.close()
  await once(connection, 'connection_close')
}

export type Seen = { order: string; version: number; type: string; message: Message }

/** The events among messages, as anyone else would read them. */
export function eventsOf(messages: Message[]): Seen[] {
  return messages.map((message) => {
    const { source, subject, data, type } = JSON.parse(String(message.body.content))
    return { order: `${source} ${subject}`, version: data.version, type, message }
  })
}

/** How often an order's event came for the first time while an earlier one of that order had not come. */
export function disordered(events: Seen[]): number {
  const last = new Map<string, number>()
  let wrong = 0
  for (const { order, version } of events) {
    const before = last.get(order) ?? 0
    if (version > before + 1) wrong++
    last.set(order, Math.max(before, version))
  }
  return wrong
}

/** How many came again. */
export function duplicates(events: Seen[]): number {
  return events.length - new Set(events.map(({ order, version }) => `${order} ${version}`)).size
}
