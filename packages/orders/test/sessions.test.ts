import { createHash, randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { createPeople } from '../src/people.ts'
import { startOrders } from './service.ts'

async function startSessions(t: Test) {
  const service = await startOrders(t)
  const people = await createPeople(service.database)
  const { user, org } = await people.signUpGuest()
  return { ...service, people, user, home: org }
}

const digestOf = (secret: string) => createHash('sha256').update(secret).digest()
const all = { name: 'all_sessions', text: 'SELECT user_id FROM sessions', values: [] }

t.test('a session is there until it is ended, and never again', async (t) => {
  const { people, user } = await startSessions(t)
  const secret = await people.startSession(user.id, 'https://issuer.example')
  t.match(secret, /^[A-Za-z0-9_-]{22}$/)
  t.match(await people.readSession(secret), { userId: user.id, orgId: null })
  t.equal(await people.readSession('A'.repeat(22)), undefined)
  t.same(await people.endSession(secret), { userId: user.id, issuer: 'https://issuer.example' })
  t.equal(await people.readSession(secret), undefined)
  t.equal(await people.endSession(secret), undefined)
  await t.rejects(people.startSession(randomUUID(), null), { code: '23503' }, 'nobody has no session')
})

t.test('who has one secret reaches one session', async (t) => {
  const { people, user, database, admin } = await startSessions(t)
  const other = await people.signUpGuest()
  const [mine, theirs] = [await people.startSession(user.id, null), await people.startSession(other.user.id, null)]
  t.same(await database.readAsHolder(digestOf(mine), all), [{ user_id: user.id }])
  t.same(await database.runGlobal(all), [], 'and who has none reaches none')
  const late = {
    name: 'x',
    text: "UPDATE sessions SET expires_at = now() + interval '1 year' RETURNING user_id",
    values: [],
  }
  t.same(await database.runAsHolder(digestOf(mine), late), [{ user_id: user.id }])
  const planted = {
    name: 'y',
    text: 'INSERT INTO sessions (digest, user_id, expires_at, ends_at) VALUES ($1, $2, now(), now())',
    values: [digestOf('planted'), user.id],
  }
  await t.rejects(database.runAsHolder(digestOf(mine), planted), { code: '42501' })
  await admin.query("UPDATE sessions SET expires_at = now() - interval '1 s' WHERE digest = $1", [digestOf(theirs)])
  t.equal((await database.readAsHolder(digestOf(mine), all)).length, 2, 'what has ended may be cleared away')
  await t.rejects(database.runAsHolder(digestOf(mine), late), { code: '42501' }, 'and not be brought back')
})

t.test('a session acts where its user belongs, for as long as that is so', async (t) => {
  const { people, user, home, admin, org } = await startSessions(t)
  const secret = await people.startSession(user.id, null)
  await t.rejects(people.chooseOrg(secret, org), { code: 'ORG_NOT_FOUND' })
  await admin.query("INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'viewer')", [org, user.id])
  await people.chooseOrg(secret, org)
  t.match(await people.readSession(secret), { orgId: org })
  await admin.query('DELETE FROM memberships WHERE org_id = $1', [org])
  t.match(await people.readSession(secret), { userId: user.id, orgId: null })
  await people.chooseOrg(secret, home.id)
  t.match(await people.readSession(secret), { orgId: home.id })
})

t.test('of many that have ended, each start clears some away, also several at once', async (t) => {
  const { people, user, admin } = await startSessions(t)
  await admin.query(
    `INSERT INTO sessions (digest, user_id, expires_at, ends_at)
     SELECT sha256(n::text::bytea), $1, now() - interval '1 s', now() FROM generate_series(1, 100) n`,
    [user.id],
  )
  await Promise.all(Array.from({ length: 8 }, () => people.startSession(user.id, null)))
  const { rows } = await admin.query(
    'SELECT count(*) FILTER (WHERE expires_at < now())::int AS ended, count(*)::int FROM sessions',
  )
  t.same(rows, [{ ended: 0, count: 8 }])
})

t.test('a sign-in is taken once, and within ten minutes', async (t) => {
  const { people, admin } = await startSessions(t)
  const begun = { issuer: 'https://issuer.example', returnTo: '/' }
  const secret = await people.beginSignIn(begun)
  const taken = await Promise.all(Array.from({ length: 5 }, () => people.takeSignIn(secret)))
  t.same(taken.filter(Boolean), [begun])
  const late = await people.beginSignIn(begun)
  await admin.query("UPDATE sign_ins SET expires_at = expires_at - interval '10 minutes'")
  t.equal(await people.takeSignIn(late), undefined)
  await t.rejects(people.beginSignIn({ ...begun, returnTo: 'https://evil.example' }), { code: '23514' })
})
