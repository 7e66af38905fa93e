import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Starts a server in a process of its own, under another command if one is given; answers once it is ready. */
export async function startInChild(t: Test, dataDir: string, prefix: string[] = []): Promise<ChildProcess> {
  const child = spawnStarter(t, dataDir, prefix)
  const [line] = await once(child.stdout ?? child, 'data')
  t.match(String(line), /^postgres:/)
  return child
}

/** As `startInChild`, without waiting. The server ends when the child's input does. */
export function spawnStarter(t: Test, dataDir: string, prefix: string[] = []): ChildProcess {
  const module = JSON.stringify(join(import.meta.dirname, '../src/embedded.ts'))
  const code = `import { startEmbeddedPostgres } from ${module}
    console.log((await startEmbeddedPostgres({ dataDir: process.argv[1] })).url)
    process.stdin.resume().on('end', () => process.exit())`
  const [file = process.execPath, ...args] = [...prefix, process.execPath, '--input-type=module', '-e', code, dataDir]
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}
