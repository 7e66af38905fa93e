import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type Guest, newGuestKeys, signIn } from './guests.ts'
import { keepAlive, send } from './http.ts'
import { serve, startWorker, type Test } from './service-process.ts'
import { connect } from './session.ts'

const deadWebhooks = 20
/** Nothing listens on this port. */
const deadUrl = 'http://127.0.0.1:9/dead'

/** An API, a worker, an organisation with 20 dead webhooks that imports, and a quiet organisation. */
export async function startImporting(t: Test, database: string, workerSettings: Record<string, string> = {}) {
  const settings = { DATABASE_URL: database, WEBHOOKS_ALLOW_LOOPBACK: 'true' }
  const { url } = await serve(t, { ...settings, GUEST_KEYS: newGuestKeys(), RATE_LIMITS: 'off' })
  const worker = startWorker({ ...settings, ...workerSettings })
  t.teardown(async () => {
    worker.kill('SIGKILL')
    await worker.exited
  })
  const admin = await connect(t, database)
  const agent = keepAlive()
  t.teardown(async () => agent.destroy())

  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    send(`${url}/api/v1${path}`, { method: 'POST', headers, body, agent, timeoutMs: 60_000 })

  async function call(path: string, body: object, headers?: Record<string, string>) {
    const answer = await post(path, body, headers)
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.body}`)
    return JSON.parse(answer.body)
  }

  const addWebhook = ({ authorization }: Guest, webhookUrl: string) =>
    call('/webhooks', { url: webhookUrl }, { authorization })

  const [noisy, quiet] = [await signIn(url), await signIn(url)]
  for (let i = 0; i < deadWebhooks; i++) await addWebhook(noisy, `${deadUrl}/${i}`)

  /** Imports so many orders of the noisy organisation. Resolves with the report. */
  async function importLines(lines: number): Promise<object> {
    const answer = await fetch(`${url}/api/v1/orders/import`, {
      method: 'POST',
      headers: { 'content-type': 'text/csv', authorization: noisy.authorization },
      body: Readable.toWeb(Readable.from(csv(lines))) as ReadableStream,
      duplex: 'half',
    } as RequestInit)
    return answer.json()
  }

  /** Sends an order again while the service is overloaded. Returns its id, and how often it was refused. */
  async function placeOrder(headers: Record<string, string>): Promise<{ id: string; refused: number }> {
    for (let refused = 0; ; refused++) {
      const answer = await post('/orders', { amount: 1 }, headers)
      if (answer.status === 201) return { id: JSON.parse(answer.body).id, refused }
      if (answer.status !== 503) throw new Error(`${answer.status} ${answer.body}`)
      await delay(100)
    }
  }

  /**
   * Places an order and waits until it is confirmed. Returns the milliseconds from the first request to the confirmation,
   * how often the order was refused, and the moves of the noisy organisation's events between the order and its
   * confirmation.
   */
  async function placeAndAwait({ authorization, orgId }: Guest) {
    const began = performance.now()
    const { id, refused } = await placeOrder({ authorization })
    for (;;) {
      const { rows } = await admin.query<{ moves: number }>(movesBetween, [orgId, id, noisy.orgId])
      if (rows[0]) return { ms: performance.now() - began, refused, moves: rows[0].moves }
      await delay(10)
    }
  }

  /** Events of the noisy organisation that have not left the outbox. */
  async function backlog(): Promise<number> {
    const text = 'SELECT coalesce(sum(events), 0)::int AS events FROM outbox WHERE org_id = $1'
    return (await admin.query(text, [noisy.orgId])).rows[0].events
  }

  return { admin, noisy, quiet, addWebhook, importLines, placeAndAwait, backlog }
}

// All events that one move takes have the same time, that of its transaction.
const movesBetween = `
  SELECT (
    SELECT count(DISTINCT logged_at)::int FROM event_log
    WHERE org_id = $3 AND logged_at > o.created_at AND logged_at < e.occurred_at) AS moves
  FROM orders o JOIN order_events e ON e.org_id = o.org_id AND e.order_number = o.number AND e.sequence = 2
  WHERE o.org_id = $1 AND o.id = $2`

function* csv(lines: number) {
  yield Buffer.from('id,amount\n')
  for (let start = 0; start < lines; start += 1000) {
    const length = Math.min(1000, lines - start)
    yield Buffer.from(Array.from({ length }, (_, i) => `line-${start + i},1\n`).join(''))
  }
}
