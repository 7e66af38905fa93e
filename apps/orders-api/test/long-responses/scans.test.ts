import { setImmediate as endOfTurn } from 'node:timers/promises'
import t from 'tap'
import { createSlots } from '../../src/long-responses/concurrency.ts'
import { createScans } from '../../src/long-responses/scans.ts'

const noisy = { orgId: 'noisy', userId: undefined }
const quiet = { orgId: 'quiet', userId: undefined }

/** Scans that end when the test says so. */
function start(setting: string | undefined, options: Omit<Parameters<typeof createScans>[0], 'slots'> = {}) {
  const limited: string[] = []
  const begun: { key: string; end: (result: string) => void; fail: (error: Error) => void; signal: AbortSignal }[] = []
  const slots = createSlots({ setting, onRateLimited: (limit) => limited.push(limit), scans: 3 })
  const scans = createScans({ slots, maxPauseMs: 0, ...options })
  const read = (key: string, holder = noisy, signal?: AbortSignal) => {
    const result = scans.read(
      key,
      holder,
      (ending) => {
        const { promise, resolve, reject } = Promise.withResolvers<string>()
        begun.push({ key, end: resolve, fail: reject, signal: ending })
        return promise
      },
      signal,
    )
    result.catch(() => {})
    return result
  }
  return { read, begun, limited, keys: () => begun.map(({ key }) => key) }
}

t.test('runs one scan of an organisation at a time, and leaves slots to others', async (t) => {
  const { read, begun, keys } = start(undefined)
  const first = read('1')
  for (const key of ['2', '3']) void read(key)
  t.same(keys(), ['1'])

  void read('quiet', quiet)
  t.same(keys(), ['1', 'quiet'], 'it does not wait for those before it')

  void read('4', quiet)
  begun[0]?.end('one')
  t.equal(await first, 'one')
  await endOfTurn()
  t.same(keys().at(-1), '2', 'the earliest, where no organisation has fewer that run')
})

t.test('an organisation pauses after a scan for as long as it took, and others do not', async (t) => {
  const { read, begun, keys } = start('scans=1', { maxPauseMs: 60_000 })
  const [first] = [read('1'), read('2')]
  const began = performance.now()
  while (performance.now() - began < 50) await endOfTurn()
  begun[0]?.end('one')
  const ended = performance.now()
  await first
  void read('quiet', quiet)
  t.same(keys(), ['1', 'quiet'], 'the slot of the process does not rest')
  begun[1]?.end('quiet')

  while (!keys().includes('2')) await endOfTurn()
  t.ok(performance.now() - ended >= 49, 'it waits for the pause and no longer')
})

t.test('gives a free slot to the organisation with the fewest running scans', async (t) => {
  const { read, begun, keys } = start('scans=2,org-scans=2')
  for (const key of ['1', '2', '3']) void read(key)
  void read('quiet', quiet)
  begun[0]?.fail(new Error('broken'))
  await endOfTurn()
  t.same(keys(), ['1', '2', 'quiet'])
})

t.test('readers of a scan that has not begun share it', async (t) => {
  const { read, begun, keys } = start('org-scans=1')
  void read('1')
  const waiting = [read('1'), read('1')]
  t.same(keys(), ['1'], 'one that has begun may have missed the latest write')
  begun[0]?.end('old')
  await endOfTurn()
  t.same(keys(), ['1', '1'])
  begun[1]?.end('new')
  t.same(await Promise.all(waiting), ['new', 'new'])
})

t.test('ends a scan when all its readers have left', async (t) => {
  const { read, begun, keys } = start('org-scans=1')
  const [one, two, three] = [new AbortController(), new AbortController(), new AbortController()]
  void read('running', noisy, one.signal)
  const waiting = [read('waiting', noisy, two.signal), read('waiting', noisy, three.signal)]
  one.abort()
  t.ok(begun[0]?.signal.aborted)
  two.abort()
  three.abort()
  for (const result of waiting) await t.rejects(result, { code: 'BAD_REQUEST' })
  begun[0]?.end('nobody reads it')
  await endOfTurn()
  t.same(keys(), ['running'], 'the other one never began')
  await t.rejects(read('gone', noisy, one.signal), { code: 'BAD_REQUEST' }, 'a reader that left before')
})

t.test('refuses scans beyond those that may wait, and those that waited too long', async (t) => {
  const { read, limited } = start('scans=1,org-scans=1', { maxWaitMs: 1, maxWaitingPerOrg: 1 })
  void read('running')
  const waits = read('waits')
  await t.rejects(read('too many'), { code: 'RATE_LIMITED', message: /at most 1 scan at a time/ })
  await t.rejects(waits, { code: 'RATE_LIMITED' })
  await t.rejects(read('waits', quiet), { code: 'OVERLOADED' })
  t.same(limited, ['org-scans', 'org-scans', 'scans'])
})

t.test('a small pool has one scan at a time, unless the setting says otherwise', async (t) => {
  const onRateLimited = () => {}
  for (const [setting, most] of [
    [undefined, 1],
    ['scans=2', 2],
  ] as const) {
    const { take, findFull } = createSlots({ setting, onRateLimited, scans: 0 })
    for (let taken = 0; taken < most; taken++) take('scan', { ...noisy, orgId: `${taken}` })
    t.equal(findFull('scan', quiet), 'scans')
  }
})
