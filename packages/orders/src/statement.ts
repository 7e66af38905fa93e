import { createHash } from 'node:crypto'
import type { Statement } from '@orders/database'
import type { CompiledQuery } from 'kysely'

const names = new Map<string, string>()

/** A prepared statement of a compiled query: PostgreSQL parses and plans each text once a connection. */
export function prepared({ sql: text, parameters }: CompiledQuery): Statement {
  let name = names.get(text)
  if (!name) {
    name = `q_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
    names.set(text, name)
  }
  return { name, text, values: [...parameters] }
}
