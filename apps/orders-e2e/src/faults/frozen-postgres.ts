import { readFileSync } from 'node:fs'
import type { Client } from 'pg'

/**
 * Stops PostgreSQL and every process of it, as a virtual machine that is paused: connections stay open and nothing
 * answers. The returned function lets it go on. Linux only.
 */
export async function freeze(admin: Client): Promise<() => void> {
  const { rows } = await admin.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const postmaster = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${rows[0]?.pid}/status`, 'utf8'))?.[1])
  const stop = () => {
    const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8')
    return [postmaster, ...children.trim().split(/\s+/).map(Number)]
  }
  // The postmaster first: it starts no other process then.
  process.kill(postmaster, 'SIGSTOP')
  const stopped = stop()
  for (const pid of stopped.slice(1)) process.kill(pid, 'SIGSTOP')
  return () => {
    for (const pid of stopped.toReversed()) process.kill(pid, 'SIGCONT')
  }
}
