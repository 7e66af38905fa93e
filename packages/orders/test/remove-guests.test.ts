import { connectDatabase, defaultOrgId, pgErrorCode } from '@orders/database'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { createStatistics } from '../src/fold-statistics.ts'
import { removedTables } from '../src/guest-repository.ts'
import { createPeople } from '../src/people.ts'
import { createGuestRemoval } from '../src/remove-guests.ts'
import { connect, openOrders, rowsOf, startOrders, until } from './service.ts'

/** Inserts a guest who signed up so many hours ago, as a sign-up does, and returns the ids of user and home. */
async function addGuest(admin: pg.Client, hours: number): Promise<{ id: string; home: string }> {
  const age = `make_interval(hours => -${hours})`
  const [ids] = await rowsOf(admin, `SELECT uuidv7(${age}) AS id, uuidv7(${age}) AS home`)
  const { id, home } = ids
  await admin.query(`INSERT INTO organisations (id, name, slug) VALUES ($1, 'Guest', $2)`, [home, `guest-${home}`])
  await admin.query(`INSERT INTO users VALUES ($1, 'Guest', $2, now() + ${age})`, [id, home])
  await addMember(admin, home, id)
  return { id, home }
}

const addMember = (admin: pg.Client, orgId: string, userId: string) =>
  admin.query(`INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'owner')`, [orgId, userId])

async function start(t: Test) {
  const started = await startOrders(t)
  const { database, close } = connectDatabase(started.url, { max: 1, role: 'orders_worker', onError: () => {} })
  t.teardown(close)
  const removed: Record<string, number> = {}
  const onRemoved = (table: string, rows: number) => {
    removed[table] = (removed[table] ?? 0) + rows
  }
  /** Runs the job as the worker does, until it has nothing left to do. */
  const removeAll = async () => {
    const { removeGuests } = createGuestRemoval({ database, days: 30, onRemoved })
    while ((await removeGuests()) > 0);
  }
  const usersLeft = async () => (await rowsOf(started.admin, 'SELECT id FROM users ORDER BY id')).map(({ id }) => id)
  return { ...started, database, removed, removeAll, usersLeft }
}

const lastHour = 31 * 24

t.test('removes a guest 30 days after the token ended, with every row of the home organisation', async (t) => {
  const { admin, database, orders, removed, removeAll, usersLeft } = await start(t)
  const guest = await addGuest(admin, lastHour + 1)
  const young = await addGuest(admin, lastHour - 1)
  for (const { home } of [guest, young]) {
    await orders.placeOrder(home, { id: 'a', amount: 1 })
    await createStatistics(database).fold()
    await orders.placeOrder(home, { id: 'b', amount: 1 })
    await admin.query(`INSERT INTO projects (org_id, name, slug) VALUES ($1, 'Lamps', 'lamps')`, [home])
    await admin.query(`INSERT INTO webhooks (org_id, url, key) VALUES ($1, 'https://a.example', $2)`, [
      home,
      Buffer.alloc(32),
    ])
    await admin.query('INSERT INTO event_positions VALUES ($1, 1)', [home])
    await admin.query(`INSERT INTO event_queue (lane, org_id, order_id, sequence) VALUES (1, $1, 'a', 1)`, [home])
    await admin.query(
      `INSERT INTO dead_letters (org_id, order_id, sequence, attempts, reason) VALUES ($1, 'a', 1, 1, '')`,
      [home],
    )
  }
  await admin.query(
    `INSERT INTO sessions (digest, user_id, expires_at, ends_at) VALUES (sha256('a'), $1, now() - interval '30 days', now())`,
    [guest.id],
  )

  await removeAll()

  t.strictSame(await usersLeft(), [young.id])
  t.strictSame(removed, {
    users: 1,
    memberships: 1,
    sessions: 1,
    organisations: 1,
    outbox: 2,
    event_queue: 1,
    order_events: 2,
    orders: 2,
    order_statistics_changes: 1, // of the removal of the orders
    order_statistics: 1,
    projects: 1,
    webhooks: 1,
    event_positions: 1,
    dead_letters: 1,
  })
  t.strictSame(await rowsOf(admin, 'SELECT FROM removed_organisations'), [])
  for (const table of removedTables) {
    const [left] = await rowsOf(
      admin,
      `SELECT count(*) FILTER (WHERE org_id = $1)::int AS removed,
      count(*) FILTER (WHERE org_id = $2)::int AS kept FROM ${table}`,
      [guest.home, young.home],
    )
    t.equal(left.removed, 0, table)
    t.ok(left.kept > 0, `control: ${table} of the younger guest`)
  }
})

t.test('keeps an active guest, a user of an issuer, and an organisation that others belong to', async (t) => {
  const { admin, url, removeAll, usersLeft } = await start(t)
  const people = await createPeople((await openOrders(t, url)).database)
  const { user: active } = await people.signUpGuest()
  const issuerUser = { id: '6ba7b810-9dad-51d1-80b4-00c04fd430c8', name: 'guest-0001' }
  await people.signUpUser(issuerUser)
  await admin.query(`UPDATE users SET created_at = now() - interval '1 year' WHERE id = $1`, [issuerUser.id])
  const host = await addGuest(admin, lastHour + 1)
  await addMember(admin, host.home, issuerUser.id)
  const member = await addGuest(admin, lastHour + 2)
  await addMember(
    admin,
    (await rowsOf(admin, 'SELECT home_org_id AS id FROM users WHERE id = $1', [active.id]))[0].id,
    member.id,
  )
  const operator = await addGuest(admin, lastHour + 3)
  await addMember(admin, defaultOrgId, operator.id)
  const ofIssuer = `SELECT home_org_id AS id FROM users WHERE id = '${issuerUser.id}'`
  const caretaker = await addGuest(admin, lastHour + 4)
  await addMember(admin, (await rowsOf(admin, ofIssuer))[0].id, caretaker.id)
  await admin.query(`DELETE FROM memberships WHERE org_id = (${ofIssuer}) AND user_id = $1`, [issuerUser.id])
  const alone = await addGuest(admin, lastHour + 5)

  await removeAll()

  t.strictSame(await usersLeft(), [active.id, issuerUser.id, host.id, member.id, operator.id, caretaker.id].sort())
  t.notOk((await usersLeft()).includes(alone.id), 'control: the others are removed')
})

t.test('removes guests who share organisations only with each other', async (t) => {
  const { admin, removed, removeAll, usersLeft } = await start(t)
  const [one, two] = [await addGuest(admin, lastHour + 1), await addGuest(admin, lastHour + 2)]
  await addMember(admin, one.home, two.id)
  await addMember(admin, two.home, one.id)
  const [{ id: third }] = await rowsOf(
    admin,
    `INSERT INTO organisations (name, slug) VALUES ('Third', 'third') RETURNING id`,
  )
  await addMember(admin, third, one.id)
  await addMember(admin, third, two.id)

  await removeAll()

  t.strictSame(await usersLeft(), [])
  t.match(removed, { users: 2, memberships: 6, organisations: 3 })
})

t.test('removes every organisation of a guest who has hundreds', async (t) => {
  const { admin, orders, removed, removeAll, usersLeft } = await start(t)
  const guest = await addGuest(admin, lastHour + 1)
  await admin.query(
    `WITH made AS (
        INSERT INTO organisations (name, slug) SELECT 'Many', 'many-' || n FROM generate_series(1, 250) n RETURNING id)
      INSERT INTO memberships (org_id, user_id, role) SELECT id, $1, 'owner' FROM made`,
    [guest.id],
  )
  const [{ id: last }] = await rowsOf(admin, 'SELECT max(org_id::text) AS id FROM memberships')
  await orders.placeOrder(last, { id: 'a', amount: 1 })

  await removeAll()

  t.strictSame(await usersLeft(), [])
  t.match(removed, { organisations: 251, memberships: 251, orders: 1, outbox: 1 })
})

t.test('a guest who cannot be removed in time does not hold up the others', async (t) => {
  const { admin, database, url, usersLeft } = await start(t)
  const oldest = await addGuest(admin, lastHour + 2)
  await addGuest(admin, lastHour + 1)
  const holder = await connect(t, url)
  await holder.query('BEGIN')
  await holder.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [oldest.id])
  const { removeGuests } = createGuestRemoval({ database, days: 30 })
  const codes: unknown[] = []
  const removeWhileThereAre = async (users: number) => {
    for (let turn = 0; turn < 10 && (await usersLeft()).length === users; turn++) {
      await removeGuests().catch((error) => codes.push(error.code))
    }
  }

  await removeWhileThereAre(2)

  t.strictSame(await usersLeft(), [oldest.id])
  t.strictSame(codes, ['55P03', '55P03'], 'the two were tried together, and then the oldest alone')
  await holder.query('ROLLBACK')
  await removeWhileThereAre(1)
  t.strictSame(await usersLeft(), [], 'the next round removes the oldest')
})

t.test('a worker can mark and empty no organisation that somebody uses', async (t) => {
  const { admin, database, orders } = await start(t)
  const { id, home } = await addGuest(admin, 23)
  const [{ id: empty }] = await rowsOf(
    admin,
    `INSERT INTO organisations (name, slug) VALUES ('Seeded', 'seeded') RETURNING id`,
  )
  const past = await addGuest(admin, 25)
  for (const org of [home, past.home]) await orders.placeOrder(org, { id: 'a', amount: 1 })
  const run = (text: string, ...values: string[]) =>
    database.runGlobal({ name: text.slice(0, 40), text, values }).then(({ length }) => length)

  for (const org of [home, defaultOrgId, empty]) {
    const mark = run('INSERT INTO removed_organisations VALUES ($1)', org)
    await t.rejects(mark, { message: /row-level security policy/ })
  }
  const found = 'WHERE org_id = $1 RETURNING org_id'
  // Rows that a worker deletes when it has handled them.
  const handled = ['outbox', 'event_queue', 'dead_letters', 'order_statistics', 'order_statistics_changes']
  for (const table of removedTables.filter((table) => !handled.includes(table))) {
    t.equal(await run(`DELETE FROM ${table} ${found}`, home), 0, table)
  }
  t.equal(await run('DELETE FROM organisations WHERE id = $1 RETURNING id', home), 0, 'organisations')
  t.equal(await run('DELETE FROM users WHERE id = $1 RETURNING id', id), 0, 'users')

  t.comment('control: a guest who signed up more than a day ago cannot come back')
  t.equal(await run('INSERT INTO removed_organisations VALUES ($1) RETURNING id', past.home), 1)
  t.equal(await run(`DELETE FROM orders ${found}`, past.home), 1)
})

t.test('an order that is being placed keeps its organisation, and both are removed later', async (t) => {
  const { admin, url, removed, removeAll } = await start(t)
  const { home } = await addGuest(admin, lastHour + 1)
  const placing = await connect(t, url)
  await placing.query('BEGIN')
  await placing.query(`INSERT INTO orders (org_id, id, amount, currency) VALUES ($1, 'a', 1, 'EUR')`, [home])

  const removal = removeAll().catch(pgErrorCode)
  await until(async () => {
    const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%removed_organisations%'`
    return (await rowsOf(admin, waits)).length > 0
  })
  await placing.query('COMMIT')

  t.equal(await removal, '23503')
  t.equal(removed.organisations, undefined)
  await removeAll()
  t.match(removed, { orders: 1, order_statistics_changes: 2, organisations: 1 })
})

t.test('names every table of an organisation whose rows have no age limit', async (t) => {
  const { admin } = await start(t)
  const removedByAge = [
    'event_log',
    'idempotency_records',
    'import_days',
    'inbox',
    'webhook_deliveries',
    'webhook_fanouts',
  ]

  const found = await rowsOf(
    admin,
    `SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'org_id' AND table_schema = 'public'`,
  )

  t.strictSame(found.map(({ name }) => name).sort(), [...removedTables, ...removedByAge].sort())
})
