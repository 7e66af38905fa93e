import { errorCodes } from '@orders/schema'
import fc from 'fast-check'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { readOperations } from '../test/bad-input/document.ts'
import { faultIn } from '../test/bad-input/oracle.ts'
import { type Case, knownIds, requests } from '../test/bad-input/requests.ts'
import { type Service, startService } from '../test/service.ts'

const wanted = 20_000
const GUEST_KEYS = await newGuestKeys('test-key')
const concurrency = 16

/** Sends generated requests, some at once, until `count` were answered or one answer was wrong; shrinks that one. */
async function run(service: Service, count: number, seed: number) {
  const { json: guest } = await service.send('POST', '/api/v1/auth/guest')
  const auth = { authorization: `Bearer ${guest.access_token}` }
  const sender = { org: guest.org.id, user: guest.user.id }
  for (const id of knownIds) await service.place({ id, amount: 1 }, auth)
  const tally = new Map<string, number>()
  let sent = 0
  let wrong = false
  const property = fc.asyncProperty(
    fc.array(
      requests(
        (await readOperations()).filter(({ path }) => !path.endsWith('/stream')) /* which does not end */,
        sender,
      ),
      { minLength: 1, maxLength: 2 * concurrency, size: 'max' },
    ),
    async (cases) => {
      if (sent >= count && !wrong) return // enough; but what is wrong is still made smaller
      const faults = await Promise.all(
        cases.map(async (asked) => {
          sent++
          tally.set(asked.expect, (tally.get(asked.expect) ?? 0) + 1)
          const fault = await faultIn({ ...asked, headers: { ...auth, ...asked.headers } }, service)
          return fault && `${describe(asked)}\n  ${fault}`
        }),
      )
      const first = faults.find((fault) => fault !== undefined)
      if (!first) return
      wrong = true
      throw new Error(first)
    },
  )
  const result = await fc.check(property, { seed, numRuns: Math.ceil(count / 10), endOnFailure: false })
  return { sent, tally, fault: result.errorInstance as Error | undefined, path: result.counterexamplePath }
}

const describe = ({ what, method, path, headers, body }: Case) =>
  `${what}: ${method} ${path.slice(0, 200)} ${JSON.stringify(headers).slice(0, 200)} ${String(body).slice(0, 300)}`

t.test(
  'no request is answered with 5xx, an undocumented status or a changed value',
  { timeout: 110_000 },
  async (t) => {
    const service = await startService(t, { GUEST_KEYS })
    const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31)
    t.comment(`seed ${seed}; FC_SEED=${seed} repeats this run`)
    const started = performance.now()
    const { sent, tally, fault } = await run(service, wanted, seed)
    t.comment(`${sent} requests in ${Math.round(performance.now() - started)} ms: ${JSON.stringify([...tally])}`)
    t.equal(fault?.message, undefined)
    t.ok(sent >= wanted, `${sent} requests`)
    t.ok((tally.get('accept') ?? 0) > sent / 5 && (tally.get('refuse') ?? 0) > sent / 5, 'right and wrong ones')
    for (const code of errorCodes)
      t.equal((await service.send('GET', `/errors/${code}`)).status, 200, `/errors/${code}`)
  },
)

t.test('the same run reports a service that coerces values and drops fields', async (t) => {
  const service = await startService(
    t,
    { GUEST_KEYS },
    {
      edit: (options) => {
        options.ajv = { customOptions: { coerceTypes: true, removeAdditional: true } }
      },
    },
  )
  const { fault } = await run(service, 2000, 1)
  t.match(fault?.message, /accepted silently|changed \w+ silently/)
})
