import pg from 'pg'
import t from 'tap'
import { openBrowser } from './ui/browser.ts'

t.test('links from each part of a long history to the next one', async (t) => {
  const { get, submit, url } = await openBrowser(t)
  await submit((await get('/')).page.form('Place order'), { Amount: '1', 'Your own id': 'edited' })
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  await admin.query(`INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
    SELECT org_id, number, n, 'orders.order.updated.v1', 'placed', 'edit ' || n,
      (SELECT jsonb_object_agg('k' || k, repeat('x', 450)) FROM generate_series(1, 50) k)
    FROM orders, generate_series(2, 100) n`)

  const shown: string[] = []
  let parts = 0
  for (let next: string | null | undefined = '/ui/orders/edited'; next; parts++) {
    const { page } = await get(next)
    shown.push(...page.all('.history .description').map(({ textContent }) => textContent ?? ''))
    next = page.link('Later entries')
  }

  t.ok(parts > 1, 'more than 1 MiB is shown in parts')
  t.strictSame(
    shown,
    Array.from({ length: 99 }, (_, i) => `edit ${i + 2}`),
  )
})
