import t from 'tap'
import { checkService, checkWorker, untilAlive } from '../e2e/image/check-service.ts'
import { ended, fromSources } from '../e2e/image/launch.ts'
import { runService } from '../e2e/image/running-service.ts'

const commit = 'c'.repeat(40)

t.test('a service that is well has no fault', async (t) => {
  const { base, admin, worker, stop } = await runService(fromSources, { ORDERS_COMMIT: commit })
  t.strictSame(await checkService(base, admin, commit), [])
  t.strictSame(await checkWorker(worker), [])

  await t.test('and each thing that is not as it should be is one', async (t) => {
    const other = await runService(fromSources)
    t.match(await checkService(base, other.admin), [/\/metrics does not count the request/], 'metrics of another')
    t.match(await checkService(base, base, commit), [/\/metrics does not count/], 'metrics where there are none')
    t.match(await checkService(base, admin, 'd'.repeat(40)), [/\/version does not tell d+/], 'another commit')
    t.match(await checkWorker(admin), [/of the worker does not tell its lag/], 'metrics of the service')
    await other.stop()
    t.match(await checkService(other.base, admin), [/\/health answers 0/, /\/ answers 0/, /heading/, /count/], 'nobody')
  })

  await stop()
  await t.rejects(
    untilAlive(base, 50, () => false),
    /is not ready after 50 ms/,
  )
  await t.rejects(
    untilAlive(base, 50_000, () => true),
    /ended before it was ready/,
  )
})

t.test('a command that fails is told', async (t) => {
  const unreachable = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', DATABASE_WAIT_MS: '0' }
  await t.rejects(ended('migrate', fromSources('migrate', unreachable)), /^migrate ended with 1\.$/)
})
