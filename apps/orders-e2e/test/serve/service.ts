import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { family, type Process, processes, survivors } from './processes.ts'

const startMs = 30_000

/** `npm start` in a session of its own, as a terminal would give it. */
export class Service {
  readonly port: number
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  output = ''

  readonly #checkout: string

  constructor(checkout: string, port: number, env: NodeJS.ProcessEnv = {}, args: string[] = []) {
    const { DATABASE_URL: _, ...inherited } = process.env
    this.#checkout = checkout
    this.port = port
    this.child = spawn('npm', ['start', ...args], {
      cwd: checkout,
      detached: true,
      env: { ...inherited, PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
    this.exited = once(this.child, 'close').then(([code]) => code)
  }

  /** Its processes: npm's own, and those of its database, which are no children of it. */
  family(): Process[] {
    const all = processes()
    const roots = all.filter(({ pid, command }) => pid === this.child.pid || command.includes(this.#checkout))
    const found = roots.flatMap(({ pid }) => family(pid, all))
    return [...new Map(found.map((process) => [process.pid, process])).values()]
  }

  /** The one process of the family whose command line matches. */
  process(pattern: RegExp): Process {
    const found = this.family().find(({ command }) => pattern.test(command))
    if (!found)
      throw new Error(
        `No process matches ${pattern}:\n${this.family()
          .map((it) => it.command)
          .join('\n')}`,
      )
    return found
  }

  /** Waits until the server has said `count` times that it is ready, and answers. */
  async ready(count = 1): Promise<void> {
    await until(`ready ${count} times`, startMs, () => this.readyLines() >= count || this.child.exitCode !== null)
    if (this.readyLines() < count) throw new Error(`npm start ended with ${this.child.exitCode}:\n${this.output}`)
    const answer = await fetch(`http://localhost:${this.port}/health`)
    if (answer.status !== 200) throw new Error(`/health answered ${answer.status}`)
  }

  readyLines(): number {
    return this.output.match(/^Orders is ready on http:\/\/\S+$/gm)?.length ?? 0
  }

  /** Kills whatever is left; for teardown. */
  async destroy(): Promise<void> {
    const left = this.family()
    for (const { pid } of left) sendKill(pid)
    await until('all killed', 5000, () => survivors(left).length === 0)
  }
}

export async function until(what: string, timeoutMs: number, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`)
    await delay(25)
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
