import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import rhea, { type Container, type EventContext, type Message } from 'rhea'

type Test = { teardown(fn: () => Promise<void> | void): void }

type Options = {
  /** What is said of a message: its outcome, or nothing. */
  answer?: (message: Message) => 'accept' | 'reject' | 'release' | 'modify' | undefined
  /** The status that a token is answered with; with it, links to a queue are refused before a token came. */
  claims?: (token: string) => number
  /** What whoever consumes is sent. */
  deliver?: Message[]
}

/** An AMQP 1.0 peer for what no broker here does: to refuse single events, and to take tokens as Azure does. */
export async function startPeer(t: Test, { answer = () => 'accept', claims, deliver = [] }: Options = {}) {
  const container: Container = rhea.create_container({ autoaccept: false })
  container.sasl_server_mechanisms.enable_plain(() => true)
  container.sasl_server_mechanisms.enable_anonymous()
  const messages: Message[] = []
  const requests: Message[] = []
  let turn = Promise.resolve()
  let allowed = claims === undefined

  container.on('sender_open', ({ sender }: EventContext) => {
    if (sender && !isClaims(sender.source?.address, sender.target?.address) && !allowed) {
      sender.close({ condition: 'amqp:unauthorized-access', description: 'no token' })
    }
  })
  container.once('sendable', ({ sender }: EventContext) => {
    for (const message of deliver) sender?.send(message)
  })
  const answers: (string | undefined)[] = []
  for (const outcome of ['accepted', 'rejected', 'released']) {
    container.on(outcome, ({ delivery }: EventContext) => {
      if (delivery) answers[delivery.id] = outcome
    })
  }
  container.on('receiver_open', ({ receiver }: EventContext) => {
    if (receiver && receiver.target?.address !== '$cbs' && !allowed) {
      receiver.close({ condition: 'amqp:unauthorized-access', description: 'no token' })
    }
  })
  container.on('message', ({ message, delivery, receiver, connection }: EventContext) => {
    if (!message || !delivery || !receiver) return
    if (receiver.target?.address === '$cbs') {
      delivery.accept()
      requests.push(message)
      const status = claims?.(message.body) ?? 500
      allowed = status === 202
      const reply = {
        correlation_id: message.message_id,
        application_properties: { 'status-code': status, 'status-description': 'as the test says' },
      }
      connection.each_sender(
        (sender: { send(message: object): void }) => sender.send(reply as object),
        (sender: { target?: { address?: string } }) => sender.target?.address === message.reply_to,
      )
      return
    }
    messages.push(message)
    const outcome = answer(message)
    // One in a turn: the library gives two that are settled together the same outcome.
    turn = turn
      .then(() => nextTurn())
      .then(() => {
        if (outcome === 'accept') delivery.accept()
        if (outcome === 'reject') delivery.reject({ condition: 'peer:refused', description: 'will not' })
        if (outcome === 'release') delivery.release()
        if (outcome === 'modify') delivery.modified({ delivery_failed: true })
      })
  })
  for (const event of ['disconnected', 'connection_error', 'error', 'session_error']) container.on(event, () => {})
  const server: Server = container.listen({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const sockets = new Set<{ destroy(why: Error): void }>()
  server.on('connection', (socket) => sockets.add(socket))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy(new Error('cut'))
  })
  return {
    port: (server.address() as AddressInfo).port,
    messages,
    requests,
    /** What became of each that was delivered. */
    answers,
    /** Ends every connection, without a word. */
    cut: () => {
      for (const socket of sockets) socket.destroy(new Error('cut'))
    },
  }
}

const isClaims = (...addresses: (string | undefined)[]) => addresses.includes('$cbs')
