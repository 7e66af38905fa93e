import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import Fastify from 'fastify'
import pg from 'pg'
import t from 'tap'
import { app } from '../src/app.ts'
import { readConfig } from '../src/config.ts'

t.test('removes guests after the days of the setting, and counts the rows by table', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = new pg.Client(url)
  await admin.connect()
  t.teardown(() => admin.end())
  for (const days of [4, 5, 6]) {
    await admin.query(`WITH home AS (INSERT INTO organisations (name, slug) VALUES ('Guest', 'guest-${days}') RETURNING id)
      INSERT INTO users (id, name, home_org_id, created_at)
      SELECT uuidv7(interval '-${days} days'), '${days} days', id, now() - interval '${days} days' FROM home`)
  }
  const usersLeft = async () => (await admin.query('SELECT name FROM users ORDER BY name')).rows.map(({ name }) => name)
  const server = Fastify()
  t.teardown(() => server.close())
  const removedOf = async (table: string) => {
    const { body } = await server.inject('/metrics')
    return Number(new RegExp(`^orders_rows_removed_total\\{table="${table}"\\} (\\d+)$`, 'm').exec(body)?.[1])
  }

  await app(server, readConfig({ DATABASE_URL: url, GUESTS_KEPT_DAYS: '4' }))
  await server.ready()
  while ((await removedOf('organisations')) < 2) await delay(10)

  t.strictSame(await usersLeft(), ['4 days'], 'the token of a guest lasts one day more')
  t.equal(await removedOf('users'), 2)
  t.equal(await removedOf('orders'), 0)
})
