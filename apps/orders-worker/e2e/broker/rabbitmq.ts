import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** What is used of a tap test. */
export interface Test {
  teardown(fn: () => Promise<void> | void): void
}

export const queue = '/amq/queue/orders'
export const deadLetters = '/amq/queue/dead'

// The node and its port mapper end with this process, even after kill -9: a shell waits on a pipe that this process
// holds. A word through the pipe is the signal that stops the node for a while; its end is the end of the data too.
const watchdog = `
epmd >/dev/null 2>&1 & mapper=$!
"$2" -noinput >/dev/null 2>&1 </dev/null & node=$!
echo $node
read -r signal
kill -\${signal:-KILL} $node
wait $node
kill -KILL $mapper
[ "$signal" ] || rm -rf "$1"`

const program = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const startMs = 60_000

const definitions = {
  vhosts: [{ name: '/' }],
  users: [
    { name: 'orders', password: 'secret', tags: '' },
    { name: 'publisher', password: 'secret', tags: '' },
  ],
  permissions: [
    { user: 'orders', vhost: '/', configure: '', write: '.*', read: '.*' },
    { user: 'publisher', vhost: '/', configure: '', write: '.*', read: '^$' },
  ],
  queues: [
    quorum('orders', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }),
    quorum('dead'),
    quorum('small', { 'x-max-length': 5, 'x-overflow': 'reject-publish' }),
  ],
  exchanges: [],
  bindings: [],
}

function quorum(name: string, more = {}) {
  return { name, vhost: '/', durable: true, auto_delete: false, arguments: { 'x-queue-type': 'quorum', ...more } }
}

/** Starts a RabbitMQ of the test's own: nothing of it stands outside its folder and its ports. */
export async function startRabbitmq(t: Test) {
  const folder = await mkdtemp(join(tmpdir(), 'orders-rabbitmq-'))
  const [port, distribution, mapper] = await Promise.all([freePort(), freePort(), freePort()])
  const file = (name: string) => join(folder, name)
  await writeFile(file('definitions.json'), JSON.stringify(definitions))
  await writeFile(file('plugins'), '[rabbitmq_amqp1_0].')
  await writeFile(
    file('rabbitmq.conf'),
    `listeners.tcp.1 = 127.0.0.1:${port}\nload_definitions = ${file('definitions.json')}\n`,
  )
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    ERL_EPMD_PORT: `${mapper}`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `orders-${port}@localhost`,
    RABBITMQ_DIST_PORT: `${distribution}`,
    RABBITMQ_MNESIA_BASE: file('data'),
    RABBITMQ_LOG_BASE: file('log'),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: file('none'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins'),
    RABBITMQ_ALLOW_INPUT: '1', // no shell between us and the node
  }
  let shell: ChildProcess
  let pid = 0

  async function start(): Promise<void> {
    shell = spawn('/bin/sh', ['-c', watchdog, 'sh', folder, program], {
      cwd: '/',
      env,
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const [told] = (await once(shell.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
    pid = Number(told)
    for (const giveUpAt = Date.now() + startMs; !(await answers(port)); await delay(50)) {
      if (Date.now() > giveUpAt || !isAlive(pid))
        throw new Error('RabbitMQ did not start: see apt-get install rabbitmq-server')
    }
  }

  async function end(signal: 'KILL' | 'TERM' | undefined): Promise<void> {
    if (shell.exitCode !== null) return
    const exited = once(shell, 'exit')
    shell.stdin?.end(signal && `${signal}\n`)
    await exited
  }

  t.teardown(async () => {
    if (shell.exitCode !== null) await start()
    await end(undefined)
  })
  await start()
  return {
    port,
    url: `amqp://orders:secret@127.0.0.1:${port}`,
    /** Of one that may publish, and is refused to consume. */
    publisherUrl: `amqp://publisher:secret@127.0.0.1:${port}`,
    kill: () => end('KILL'),
    shutdown: () => end('TERM'),
    /** Starts it again, with what it had on disk. */
    restart: start,
    /** It keeps its connections, and answers nothing until `thaw`. */
    freeze: () => process.kill(pid, 'SIGSTOP'),
    thaw: () => process.kill(pid, 'SIGCONT'),
  }
}

export type Rabbitmq = Awaited<ReturnType<typeof startRabbitmq>>

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  return new Promise((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
  }).then((up) => {
    socket.destroy()
    return up as boolean
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
