import { type Kysely, sql } from 'kysely'

const blockBytes = 64
const keptKeys = 2

/** HMAC as RFC 2104 defines it for a key of at most one block: the key with each of its two paddings. */
function padKey(key: Buffer): { inner: string; outer: string } {
  const block = Buffer.concat([key, Buffer.alloc(blockBytes - key.length)])
  const padded = (padding: number) => Buffer.from(block.map((byte) => byte ^ padding)).toString('hex')
  return { inner: padded(0x36), outer: padded(0x5c) }
}

/**
 * Lets the database accept contexts that are signed with `key` (at most 64 bytes). It accepts the newest two keys, so that
 * processes with the previous one serve until they restart. Does nothing before the migration that adds context_keys.
 */
export async function registerContextKey<DB>(db: Kysely<DB>, key: Buffer): Promise<void> {
  const { rows } = await sql<{ there: boolean }>`SELECT to_regclass('context_keys') IS NOT NULL AS there`.execute(db)
  if (!rows[0]?.there) return
  const { inner, outer } = padKey(key)
  // A key that is registered again becomes the newest one: after a rollback of a rotation, the next one must not remove it.
  await db.transaction().execute(async (trx) => {
    const newest = await sql<{ inner_key: string }>`
      SELECT encode(inner_key, 'hex') AS inner_key FROM context_keys ORDER BY id DESC LIMIT 1`.execute(trx)
    if (newest.rows[0]?.inner_key === inner) return
    await sql`DELETE FROM context_keys WHERE inner_key = decode(${inner}, 'hex')`.execute(trx)
    await sql`
      INSERT INTO context_keys (inner_key, outer_key) VALUES (decode(${inner}, 'hex'), decode(${outer}, 'hex'))
      ON CONFLICT DO NOTHING`.execute(trx)
    await sql`
      DELETE FROM context_keys
      WHERE id NOT IN (SELECT id FROM context_keys ORDER BY id DESC LIMIT ${keptKeys})`.execute(trx)
  })
}
