import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { type Service, serve, startWorker } from '../src/faults/service-process.ts'

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 30_000; !(await condition()); await delay(50)) {
    if (Date.now() > giveUpAt) throw new Error(`not within 30 s: ${condition}`)
  }
}

/** Settings of a Cosmos DB account and an identity provider of which neither is there. */
function cosmosAway(folder: string) {
  const file = join(folder, 'token')
  writeFileSync(file, 'nobody takes it')
  return {
    HISTORY_COSMOS_ENDPOINT: 'https://localhost:1/',
    AZURE_AUTHORITY_HOST: 'https://localhost:1/',
    AZURE_CLIENT_ID: '00000000-0000-0000-0000-000000000000',
    AZURE_TENANT_ID: '00000000-0000-0000-0000-000000000000',
    AZURE_FEDERATED_TOKEN_FILE: file,
  }
}

t.test('with a Cosmos DB that is away, orders are confirmed and their histories read', async (t) => {
  const { url: DATABASE_URL } = await createScratchDatabase(t)
  const settings = { DATABASE_URL, LOG_LEVEL: 'warn', ...cosmosAway(t.testdir({})) }
  const { url, output } = await serve(t, settings)
  const worker: Service = startWorker(settings)
  t.teardown(async () => {
    worker.kill('SIGKILL')
    await worker.exited
  })
  const headers = { 'content-type': 'application/json' }
  await fetch(`${url}/api/v1/orders`, { method: 'POST', headers, body: '{"id":"a","amount":1}' })
  const history = async () => {
    const answer = (await (await fetch(`${url}/api/v1/orders/a/events`)).json()) as { data: { type: string }[] }
    return answer.data.map(({ type }) => type)
  }
  await until(async () => (await history()).length === 2)
  t.strictSame(await history(), ['orders.order.placed.v1', 'orders.order.confirmed.v1'])
  await until(() => /Cosmos DB does not take events/.test(worker.output.stdout))
  t.match(output.stdout, /Cosmos DB does not answer/)
  worker.kill('SIGTERM')
  t.strictSame(await worker.exited, { code: 0, signal: null })
})

t.test('a worker refuses an address that is none, in a sentence', async (t) => {
  const worker = startWorker({
    DATABASE_URL: 'postgres://a:b@127.0.0.1:1/orders',
    HISTORY_COSMOS_ENDPOINT: 'https://a b',
  })
  t.strictSame(await worker.exited, { code: 1, signal: null })
  t.match(
    worker.output.stderr,
    /^Cannot start .+:\n {2}HISTORY_COSMOS_ENDPOINT must be like https:\/\/\S+, not "https:\/\/a b": .+\.\n$/,
  )
})
