import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { startService } from './service.ts'

t.test('refuses writes with DURABILITY_LOST while sessions are not durable, and serves reads', async (t) => {
  const { send, place, url } = await startService(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  const placed = (await place({ id: 'before', amount: 1 })).status
  await admin.query(`
    CREATE FUNCTION forget() RETURNS event_trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('synchronous_commit', 'off', false); END $$;
    CREATE EVENT TRIGGER forget ON login EXECUTE FUNCTION forget()`)
  const others = 'pid <> pg_backend_pid() AND datname = current_database()'
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${others}`)
  let refused = await place({ amount: 1 })
  for (; refused.json.error === 'DATABASE_UNAVAILABLE'; await delay(20)) refused = await place({ amount: 1 })

  t.equal(placed, 201)
  t.match(refused, { status: 503, headers: { 'retry-after': '2' }, json: { error: 'DURABILITY_LOST' } })
  t.notMatch(refused.json.detail, /synchronous_commit/, 'the settings of the server stay inside')
  t.equal((await send('GET', '/orders/before')).status, 200)
  t.match(await send('GET', '/readyz'), { status: 200, json: { status: 'ready', database: 'not durable' } })
  t.match((await send('GET', '/metrics')).text, /^orders_database_durable 0$/m)

  await admin.query('DROP EVENT TRIGGER forget')
  let again = await place({ amount: 1 })
  for (; again.status === 503; await delay(20)) again = await place({ amount: 1 })

  t.equal(again.status, 201, 'without a restart')
  t.match((await send('GET', '/metrics')).text, /^orders_database_durable 1$/m)
})
