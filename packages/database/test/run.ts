import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** Runs a command of src/ to its end, without any address of a database but one in `env`. */
export async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const file = join(import.meta.dirname, '../src', `${command}.ts`)
  const { DATABASE_URL: _, DATABASE_URL_FILE: __, ...inherited } = process.env
  const child = spawn(process.execPath, [file, ...args], { env: { ...inherited, ...env } })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { out, err, code }
}
