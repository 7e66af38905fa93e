import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createBatcher } from '../src/batcher.ts'

type Batch = {
  lane: string
  items: string[]
  answer: (results?: (string | Error)[]) => void
  fail: (error: Error) => void
}
type Options = Omit<Parameters<typeof createBatcher<string, string>>[0], 'run'>

/** Time goes on by what is asked of it, and not while the machine does something else. */
function fakeClock(t: Test) {
  let time = 0
  t.intercept(performance, 'now', { value: () => time, writable: true, configurable: true })
  return (ms: number) => {
    time += ms
  }
}

/** A batcher whose batches stay in flight until the test answers them. */
function held(options: Options = {}) {
  const batches: Batch[] = []
  const sizes: number[] = []
  const batcher = createBatcher<string, string>({
    run: (lane, items) => {
      const { promise, resolve, reject } = Promise.withResolvers<(string | Error)[]>()
      batches.push({
        lane,
        items,
        answer: (results = items.map((item) => `${item}!`)) => resolve(results),
        fail: reject,
      })
      return promise
    },
    onBatch: (size) => sizes.push(size),
    ...options,
  })
  const list = () => batches.map(({ lane, items }) => `${lane}:${items.join('')}`)
  return { ...batcher, batches, sizes, list }
}

const outcome = (promise: Promise<string>) =>
  promise.then(
    (value) => value,
    (error: Error & { code?: string }) => error.code ?? error.message,
  )

t.test('one request at a time is not delayed: it leaves in the turn it came in', async (t) => {
  const { add, list, batches } = held()
  const order: string[] = []
  const first = add('a', '1')
  setImmediate(() => order.push(`next turn, ${list().length} batch in flight`))
  process.nextTick(() => order.push('same turn'))
  await turn()
  t.strictSame(order, ['same turn', 'next turn, 1 batch in flight'])
  batches[0]?.answer()
  t.equal(await first, '1!')
})

t.test('what arrives in one turn, or while a batch is in flight, is gathered in order', async (t) => {
  const { add, list, batches, sizes, waiting, idle } = held()
  const answers = ['1', '2', '3'].map((item) => add('a', item))
  t.equal(waiting(), 3)
  await turn()
  t.strictSame(list(), ['a:123'])
  t.equal(waiting(), 0)
  const late = ['4', '5'].map((item) => add('a', item))
  await turn()
  await turn()
  t.strictSame(list(), ['a:123'], 'a lane has one batch in flight')
  t.equal(waiting(), 2)
  batches[0]?.answer()
  t.strictSame(await Promise.all(answers), ['1!', '2!', '3!'])
  await turn()
  t.strictSame(list(), ['a:123', 'a:45'])
  batches[1]?.answer()
  t.strictSame(await Promise.all(late), ['4!', '5!'])
  t.strictSame(sizes, [3, 2])
  await idle()
})

t.test('what arrives in the turn of an answer, after it, joins the next batch', async (t) => {
  const { add, list, batches } = held()
  const answers = [add('a', '1')]
  await turn()
  answers.push(add('a', '2'))
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      batches[0]?.answer()
      // Behind all that the answer itself sets off.
      process.nextTick(() => setTimeout(resolve))
      queueMicrotask(() => process.nextTick(() => answers.push(add('a', '3'))))
    })
  })
  await turn()
  t.strictSame(list(), ['a:1', 'a:23'])
  for (const batch of batches) batch.answer()
  await Promise.all(answers)
})

t.test('`evenly`: clients that each wait for an answer end up in two batches of one size, in turns', async (t) => {
  const { add, batches, sizes } = held({ evenly: true })
  const rounds = 8
  const client = async () => {
    for (let round = 0; round < rounds; round++) await add('a', `${round}`)
  }
  const clients = [client()]
  await turn()
  for (let i = 1; i < 16; i++) clients.push(client()) // 15 meet a batch of one
  for (let i = 0; sizes.reduce((sum, size) => sum + size, 0) < 16 * rounds || i < batches.length; i++) {
    batches[i]?.answer()
    await turn()
    await turn()
  }
  await Promise.all(clients)
  t.strictSame(sizes.slice(0, 9), [1, 8, 8, 8, 8, 8, 8, 8, 8])
})

t.test('lanes take turns: a busy one delays a quiet one by no more than a batch', async (t) => {
  const { add, list, batches } = held({ concurrency: 1, maxBatch: 2 })
  const busy = ['1', '2', '3', '4', '5', '6'].map((item) => add('busy', item))
  await turn()
  const quiet = add('quiet', 'q')
  for (let i = 0; i < 4; i++) {
    await turn()
    batches[i]?.answer()
    await turn()
  }
  t.strictSame(list(), ['busy:12', 'busy:34', 'quiet:q', 'busy:56'])
  t.strictSame(await Promise.all([...busy, quiet]), ['1!', '2!', '3!', '4!', '5!', '6!', 'q!'])
})

t.test('no more than `concurrency` batches are in flight, and `perLane` of one lane', async (t) => {
  const { add, list, batches } = held({ concurrency: 3, perLane: 2 })
  const answers: Promise<string>[] = []
  for (const item of ['1', '2', '3']) {
    answers.push(add('a', item), add('b', item))
    await turn()
  }
  t.strictSame(list(), ['a:1', 'b:1', 'a:2'])
  batches[1]?.answer()
  await turn()
  await turn()
  t.strictSame(list(), ['a:1', 'b:1', 'a:2', 'b:23'])
  batches[0]?.answer()
  await turn()
  await turn()
  t.strictSame(list(), ['a:1', 'b:1', 'a:2', 'b:23', 'a:3'])
  for (const batch of batches) batch.answer()
  await Promise.all(answers)
})

t.test('what is too many is refused at once, and the rest is served', async (t) => {
  const { add, batches, waiting } = held({ maxWaiting: 3 })
  const answers = ['1', '2', '3', '4'].map((item) => outcome(add('a', item)))
  t.equal(await answers[3], 'OVERLOADED')
  t.equal(waiting(), 3)
  await turn()
  const next = outcome(add('a', '5'))
  batches[0]?.answer()
  t.strictSame(await Promise.all(answers.slice(0, 3)), ['1!', '2!', '3!'])
  await turn()
  batches[1]?.answer()
  t.equal(await next, '5!', 'there is room again')
})

t.test('a request that waited too long is refused, and not run', async (t) => {
  const pass = fakeClock(t)
  const { add, list, batches, idle } = held({ maxWait: 50 })
  const first = add('a', '1')
  await turn()
  const late = outcome(add('a', '2'))
  pass(51)
  const fresh = add('a', '3')
  batches[0]?.answer()
  t.equal(await late, 'TIMED_OUT')
  await turn()
  t.strictSame(list(), ['a:1', 'a:3'])
  batches[1]?.answer()
  t.strictSame(await Promise.all([first, fresh]), ['1!', '3!'])
  await idle()
})

t.test('when all of a batch waited too long, the batcher goes on', async (t) => {
  const pass = fakeClock(t)
  const { add, list, batches, idle } = held({ maxWait: 20 })
  const first = add('a', '1')
  await turn()
  const late = outcome(add('a', '2'))
  pass(21)
  batches[0]?.answer()
  t.strictSame([await first, await late], ['1!', 'TIMED_OUT'])
  await idle()
  const next = add('a', '3')
  await turn()
  t.strictSame(list(), ['a:1', 'a:3'])
  batches[1]?.answer()
  t.equal(await next, '3!')
})

t.test('each request gets its own answer or its own error', async (t) => {
  const { add, batches } = held()
  const answers = ['1', '2', '3'].map((item) => outcome(add('a', item)))
  await turn()
  batches[0]?.answer(['one', new Error('two is bad'), 'three'])
  t.strictSame(await Promise.all(answers), ['one', 'two is bad', 'three'])
})

t.test('a batch that fails fails all of its requests, and none of the next', async (t) => {
  const { add, batches } = held()
  const answers = ['1', '2'].map((item) => outcome(add('a', item)))
  await turn()
  const next = outcome(add('a', '3'))
  batches[0]?.fail(new Error('the database is gone'))
  t.strictSame(await Promise.all(answers), ['the database is gone', 'the database is gone'])
  await turn()
  batches[1]?.answer()
  t.equal(await next, '3!')
})

t.test('the fault of an item is found by halves, and fails no neighbour', async (t) => {
  const runs: string[] = []
  const { add } = createBatcher<string, string>({
    run: async (_lane, items) => {
      runs.push(items.join(''))
      if (items.some((item) => /[cx]/.test(item))) throw new Error('bad item')
      return items.map((item) => `${item}!`)
    },
    isItemFault: (error) => (error as Error).message === 'bad item',
  })
  const answers = [...'abcdefgx'].map((item) => outcome(add('a', item)))
  t.strictSame(await Promise.all(answers), ['a!', 'b!', 'bad item', 'd!', 'e!', 'f!', 'g!', 'bad item'])
  t.strictSame(runs, ['abcdefgx', 'abcd', 'ab', 'cd', 'c', 'd', 'efgx', 'ef', 'gx', 'g', 'x'], 'one at a time')
})

t.test('halves run one batch at a time, outside the room of whole batches, and not after their time', async (t) => {
  const pass = fakeClock(t)
  const isItemFault = (error: Error) => error.message === 'locked'
  const { add, list, batches, idle } = held({ concurrency: 2, maxWait: 50, isItemFault: isItemFault as () => boolean })
  const [a, b] = ['a', 'b'].map((lane) => ['1', '2', '3', '4'].map((item) => outcome(add(lane, item))))
  await turn()
  t.strictSame(list(), ['a:1234', 'b:1234'])
  batches[0]?.fail(new Error('locked'))
  batches[1]?.fail(new Error('locked'))
  await turn()
  await turn()
  const whole = ['c', 'd', 'a'].map((lane) => outcome(add(lane, 'w')))
  await turn()
  t.strictSame(list().slice(2), ['a:12', 'c:w', 'd:w'], 'the halves of b and the rest of a wait')
  for (const { answer } of batches.slice(3)) answer()
  batches[2]?.answer()
  t.strictSame(await Promise.all([...(a ?? []).slice(0, 2), ...whole.slice(0, 2)]), ['1!', '2!', 'w!', 'w!'])
  await turn()
  t.strictSame(list().slice(5), ['a:34'], 'what is done is answered at once')
  pass(51)
  batches[5]?.fail(new Error('locked'))
  t.strictSame(await Promise.all([...(a ?? []), ...(b ?? [])]), ['1!', '2!', ...Array(6).fill('TIMED_OUT')])
  t.equal(await whole[2], 'TIMED_OUT')
  t.equal(batches.length, 6, 'none of these was run')
  await idle()
})

t.test('idle answers when everything that was added has been answered', async (t) => {
  const { add, batches, idle } = held({ maxBatch: 1 })
  await idle()
  const answers = ['1', '2'].map((item) => add('a', item))
  let isIdle = false
  const idling = idle().then(() => {
    isIdle = true
  })
  await turn()
  batches[0]?.answer()
  await turn()
  await turn()
  t.equal(isIdle, false, 'one is in flight still')
  batches[1]?.answer()
  await idling
  t.strictSame(await Promise.all(answers), ['1!', '2!'])
})

t.test('answers come in the order of arrival, whatever the load', async (t) => {
  const { add } = createBatcher<number, number>({
    run: async (_lane, items) => {
      await turn()
      return items
    },
    maxBatch: 7,
    perLane: 1,
  })
  const order: Record<string, number[]> = { a: [], b: [], c: [] }
  const all: Promise<unknown>[] = []
  for (let i = 0; i < 300; i++) {
    const lane = 'abc'[i % 3] as string
    all.push(add(lane, i).then((answer) => order[lane]?.push(answer)))
    if (i % 11 === 0) await turn()
  }
  await Promise.all(all)
  for (const [index, lane] of ['a', 'b', 'c'].entries()) {
    t.strictSame(
      order[lane],
      Array.from({ length: 100 }, (_, i) => i * 3 + index),
    )
  }
})
