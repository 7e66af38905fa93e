import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import t from 'tap'
import { createSlots } from '../../src/long-responses/concurrency.ts'
import { createLongResponses } from '../../src/long-responses/registry.ts'

/** Open streams whose checks wait until the database answers. */
function openStreams(count: number) {
  const slots = createSlots({ setting: undefined, onRateLimited: () => {} })
  const responses = createLongResponses({ slots, now: () => 0, windowMs: 1000, onTooSlow: () => {} })
  const database = Promise.withResolvers<void>()
  const checks = { count: 0 }
  const recheck = () => {
    checks.count++
    return database.promise
  }
  const opened = Array.from({ length: count }, () => {
    const raw = new ServerResponse(new IncomingMessage(new Socket()))
    const request = { caller: { user: null }, orgId: 'a', raw: raw.req, recheck }
    responses.begin('stream', request as never, { raw } as never)
    return raw
  })
  return { responses, opened, checks, answer: database.resolve }
}

t.test('does not check a response that closed while others were checked', async (t) => {
  const { responses, opened, checks, answer } = openStreams(6)

  const checking = responses.recheck()
  for (const response of opened) response.emit('close')
  answer()
  await checking

  t.equal(checks.count, 4, 'those that began before')
})

t.test('starts no periodic check while one is in flight', async (t) => {
  const { responses, checks, answer } = openStreams(1)

  const first = responses.check()
  const second = responses.check()
  const during = checks.count
  answer()
  await Promise.all([first, second])
  await responses.check()

  t.equal(during, 1)
  t.equal(checks.count, 2)
})
