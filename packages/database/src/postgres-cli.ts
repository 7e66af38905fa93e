import { execFileSync } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runCommand } from './command.ts'
import { startEmbeddedPostgres } from './embedded.ts'

const usage = 'Usage: node src/postgres-cli.ts --data FOLDER --port N --url-file FILE'

/**
 * Runs a durable PostgreSQL on a folder until it is told to end. Its address stands in a file that only its user may
 * read, from when it answers until it ends. Tells a service manager that waits for it.
 */
await runCommand(async () => {
  const { data, port, file } = readArguments()
  let stopping = false
  const told = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve())
  }).then(() => {
    stopping = true
  })
  const server = await startEmbeddedPostgres({ dataDir: data, port })
  try {
    writeFileSync(`${file}.new`, `${server.url}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
    if (process.env.NOTIFY_SOCKET) execFileSync('systemd-notify', ['--ready'], { stdio: 'inherit' })
    console.log(`PostgreSQL is ready on port ${port}.`)
    await Promise.race([told, server.exited])
    if (!stopping) throw new Error(`PostgreSQL ended by itself: see postgres.log in ${data}.`)
  } finally {
    rmSync(file, { force: true })
    await server.stop()
  }
})

function readArguments(): { data: string; port: number; file: string } {
  const options = { data: { type: 'string' }, port: { type: 'string' }, 'url-file': { type: 'string' } } as const
  try {
    const { data, port, 'url-file': file } = parseArgs({ options }).values
    if (data && file && /^\d{1,5}$/.test(port ?? '') && Number(port) < 65_536) return { data, port: Number(port), file }
  } catch {}
  throw new Error(usage)
}
