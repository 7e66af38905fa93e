import type { Service } from './service-process.ts'

export interface Supervisor {
  /** kill -9; resolves once the successor serves. */
  kill(): Promise<void>
  /** Ends the service, and its restarts. */
  stop(): Promise<void>
}

/** Keeps one service running, as an orchestrator would: whenever it ends, `start` is called again. */
export async function supervise(start: () => Service): Promise<Supervisor> {
  let current = start()
  let successor = Promise.withResolvers<Service>()
  let stopping = false

  async function keepRunning() {
    for (; !stopping; successor.resolve(current)) {
      await current.exited
      if (!stopping) current = start()
    }
  }

  await current.ready()
  keepRunning().catch((error) => successor.reject(error))
  return {
    kill: async () => {
      successor = Promise.withResolvers()
      current.kill('SIGKILL')
      await (await successor.promise).ready()
    },
    stop: async () => {
      stopping = true
      current.kill('SIGKILL')
      await current.exited
    },
  }
}
