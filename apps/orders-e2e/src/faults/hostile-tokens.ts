import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { decode } from './tokens.ts'

const program = join(import.meta.dirname, '../../../orders-api/test/access/hostile-tokens-process.ts')

/** Tokens that the service must reject, made of a guest's token and the key that signed it. */
export function hostileTokens(token: string, guestKeys: string): [name: string, token: string][] {
  const [header, claims] = decode(token)
  const [key] = JSON.parse(guestKeys).keys
  const input = JSON.stringify({ header, claims, key })
  return JSON.parse(execFileSync(process.execPath, [program], { input, encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 }))
}
