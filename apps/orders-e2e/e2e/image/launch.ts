import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../../..')

/** What an image can be told to do: the commands that the manifests name. */
export const commands = {
  serve: 'apps/orders-api/src/server.ts',
  work: 'apps/orders-worker/src/worker.ts',
  migrate: 'packages/database/src/migrate-cli.ts',
} as const

/** Starts a command of the service with exactly these settings; whoever starts it ends it. */
export type Launch = (command: keyof typeof commands, settings: Record<string, string>) => ChildProcess

/** From the sources of this checkout. */
export const fromSources: Launch = (command, settings) =>
  spawn(process.execPath, [join(root, commands[command])], {
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'inherit', 'inherit'],
  })

/** From an image, as a cluster runs it: another user, no capability, nothing to write to but /tmp. */
export function fromImage(image: string): Launch {
  return (command, settings) => {
    const env = Object.entries(settings).flatMap(([name, value]) => ['--env', `${name}=${value}`])
    const cage = ['--read-only', '--tmpfs=/tmp', '--cap-drop=ALL', '--security-opt=no-new-privileges', '--user=10001']
    const args = ['run', '--rm', '--network=host', ...cage, ...env, image, commands[command]]
    return spawn('docker', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  }
}

/** Ends as code or signal. Throws an Error if it ended otherwise than well. */
export async function ended(name: string, child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  if (child.exitCode !== 0) throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}.`)
}
