import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase, findStatisticsDifferences } from '@orders/database/testing'
import Fastify from 'fastify'
import pg from 'pg'
import t from 'tap'
import { app } from '../src/app.ts'
import { readConfig } from '../src/config.ts'

t.test('folds the changes of statistics that it finds at its start, and counts those that wait', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = new pg.Client(url)
  await admin.connect()
  t.teardown(() => admin.end())
  for (const amount of [1, 2, 3]) {
    await admin.query(
      "INSERT INTO orders (org_id, id, amount, currency) SELECT id, gen_random_uuid(), $1, 'EUR' FROM organisations",
      [amount],
    )
  }
  const rowsOf = async (table: string) =>
    (await admin.query(`SELECT orders::int, amount::int FROM ${table} ORDER BY amount`)).rows
  t.equal((await rowsOf('order_statistics_changes')).length, 3)
  const server = Fastify()
  t.teardown(() => server.close())

  await app(server, readConfig({ DATABASE_URL: url }))
  await server.ready()
  while ((await rowsOf('order_statistics_changes')).length > 0) await delay(10)

  t.strictSame(await rowsOf('order_statistics'), [{ orders: 3, amount: 6 }])
  t.strictSame(await findStatisticsDifferences(admin), [])
  const { body } = await server.inject('/metrics')
  t.match(body, /^orders_statistics_changes_waiting 0$/m)
})
