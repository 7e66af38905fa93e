import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { startService } from './service.ts'

/** A service whose searches take about a second: each row that is read takes 5 ms. */
async function startSlow(t: Test, settings: Record<string, string>) {
  const service = await startService(t, settings)
  const admin = new pg.Client({ connectionString: service.url })
  await admin.connect()
  t.teardown(() => admin.end())
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency) SELECT id, 'o-' || i, 1, 'EUR'
      FROM organisations, generate_series(1, 200) AS i WHERE slug = 'default'`,
  )
  await admin.query('CREATE POLICY slow ON orders AS RESTRICTIVE FOR SELECT USING (pg_sleep(0.005) IS NOT NULL)')
  const searching = async () => {
    const text = `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'orders' AND state = 'active' AND query LIKE '%ilike%'`
    const { rows } = await admin.query<{ n: number }>(text)
    return rows[0]?.n ?? 0
  }
  return { ...service, searching }
}

t.test('refuses scans over the limit of the organisation, and serves other requests', async (t) => {
  const { send, searching } = await startSlow(t, { CONCURRENCY_LIMITS: 'org-scans=1' })
  const searches = Array.from({ length: 8 }, (_, n) => send('GET', `/orders?q=nothing-${n}`))
  while ((await searching()) === 0) await delay(10)

  const list = await send('GET', '/orders?limit=1')
  const answers = await Promise.all(searches)

  t.equal(list.status, 200)
  const refused = answers.filter(({ status }) => status === 429)
  t.ok(answers.some(({ status }) => status === 200) && refused.length > 0)
  for (const { headers, json } of refused) {
    t.match(headers, { 'retry-after': '2' })
    t.match(json, {
      error: 'RATE_LIMITED',
      detail: 'The organisation may have at most 1 scan at a time on this server.',
    })
  }
  t.match((await send('GET', '/metrics')).text, /^orders_rate_limited_total\{limit="org-scans"\} [1-9]/m)
})

t.test('ends a search in PostgreSQL when its client leaves', async (t) => {
  const { port, searching, send } = await startSlow(t, { CONCURRENCY_LIMITS: 'org-scans=1' })
  const request = http.get({ port, host: '127.0.0.1', path: '/orders?q=nothing', agent: false })
  request.on('error', () => {})
  while ((await searching()) === 0) await delay(10)

  request.destroy()

  while ((await searching()) > 0) await delay(10)
  t.equal((await send('GET', '/orders?q=nothing')).status, 200, 'its slot is free')
})
