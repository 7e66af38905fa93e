import { SettingsError } from '@orders/runtime'

export type BrokerAddress = {
  host: string
  port: number
  tls: boolean
  /** As the broker calls it. */
  queue: string
  /** Without it the process shows a token of its cloud identity. */
  login?: { username: string; password: string }
  /** What such a token is for. */
  audience: string
}

const serviceBus = /\.servicebus\.windows\.net$/i

/**
 * Reads EVENTS_BROKER. The path is the queue's address where that is another than usual: RabbitMQ has queues under
 * /amq/queue/, and version 4 under /queues/ too; others call them by their name. Throws a SettingsError that does not
 * tell the password.
 */
export function readBrokerAddress(text: string): BrokerAddress {
  const url = URL.parse(text)
  if (!url || !/^amqps?:$/.test(url.protocol) || url.hostname === '' || url.search || url.hash) throw fault(shape)
  const { username, password, path } = decoded(url)
  if ((username === '') !== (password === '')) throw fault('it has a user or a password, and needs both or none')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (username === '' && !serviceBus.test(host)) throw fault('only Azure Service Bus can do without user and password')
  const tls = url.protocol === 'amqps:'
  if (!tls && serviceBus.test(host)) throw fault('Azure Service Bus takes amqps:// only')
  const queue = queueAt(path, host)
  return {
    host,
    port: Number(url.port || (tls ? 5671 : 5672)),
    tls,
    queue,
    ...(username === '' ? {} : { login: { username, password } }),
    audience: `sb://${host}/${queue}`,
  }
}

const shape =
  'write none, amqp://user:password@host:5672 or amqps://..., with / + = % and @ in the password as %2F %2B %3D %25 %40'

const fault = (what: string) => new SettingsError(`EVENTS_BROKER cannot be used: ${what}.`)

function decoded(url: URL) {
  try {
    return {
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      path: decodeURIComponent(url.pathname).replace(/\/$/, ''),
    }
  } catch {
    throw fault(shape)
  }
}

function queueAt(path: string, host: string): string {
  if (path === '') return serviceBus.test(host) ? 'orders' : '/amq/queue/orders'
  return path.lastIndexOf('/') === 0 ? path.slice(1) : path
}
