import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '@orders/database/testing'
import autocannon from 'autocannon'
import t, { type Test } from 'tap'
import { serve, startWorker } from '../../src/faults/service-process.ts'
import { connect } from '../../src/faults/session.ts'

const lines = 1_000_000
const maxMb = 300
const rounds = 8
const mostRounds = 16
const mostSlower = 0.15
// The heap that a pod has; with all of a large machine's memory, Node puts off collecting garbage.
const heap = '--max-old-space-size=256 --max-semi-space-size=16'

async function* file() {
  yield 'id,amount,currency,description,metadata.channel\n'
  for (let start = 0; start < lines; start += 1000) {
    const rows = Array.from({ length: 1000 }, (_, i) => {
      const n = start + i
      return `order-${n},${1 + (n % 9000)}.${10 + (n % 90)},EUR,"Order ${n}, from a file",web\n`
    })
    yield rows.join('')
  }
}

/** The most memory a process has ever held, in MB. */
function peakMb(pid: number): number {
  const [, kb] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kb) / 1024)
}

async function start(t: Test, url: string) {
  const service = await serve(t, { DATABASE_URL: url, NODE_OPTIONS: heap })
  const check = (what: string, began: number) => {
    const seconds = (performance.now() - began) / 1000
    const peak = peakMb(service.pid)
    t.comment(`${what}: ${seconds.toFixed(1)} s, ${Math.round(lines / seconds)} a second, peak ${peak} MB`)
    t.ok(peak > 50 && peak < maxMb, `${what}: peak of ${peak} MB is below ${maxMb} MB`)
  }
  return { ...service, check }
}

async function importAll(url: string) {
  const answer = await fetch(`${url}/orders/import`, {
    method: 'POST',
    headers: { 'content-type': 'text/csv', accept: 'application/x-ndjson' },
    body: Readable.toWeb(Readable.from(file()).map((text: string) => Buffer.from(text))) as ReadableStream,
    duplex: 'half',
  } as RequestInit)
  const steps = (await answer.text()).trim().split('\n')
  return { steps: steps.map((step) => JSON.parse(step)), status: answer.status }
}

const { url: database } = await createCluster(t)

t.test('a million orders go in, only once, and come out, in bounded memory', async (t) => {
  const importing = await start(t, database)
  let began = performance.now()
  const first = await importAll(importing.url)
  importing.check('import', began)
  t.strictSame(first.steps.at(-1), {
    type: 'report',
    lines,
    placed_count: lines,
    existing_count: 0,
    refused_count: 0,
  })
  t.ok(first.steps.filter(({ type }) => type === 'progress').length > 2, 'progress is visible')

  began = performance.now()
  const second = await importAll(importing.url)
  importing.check('import of what is there', began)
  t.match(second.steps.at(-1), { type: 'report', placed_count: 0, existing_count: lines, refused_count: 0 })

  const exporting = await start(t, database)
  for (const format of ['csv', 'ndjson']) {
    began = performance.now()
    const answer = await fetch(`${exporting.url}/orders/export?format=${format}`)
    let count = 0
    for await (const chunk of answer.body ?? []) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count++
    }
    exporting.check(`export as ${format}`, began)
    t.equal(count, format === 'csv' ? lines + 1 : lines)
  }
})

/** Orders a second that 64 connections place in a slice of time. */
async function postingRate(url: string): Promise<number> {
  const { '2xx': placed, duration } = await autocannon({
    url: `${url}/orders`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"amount":5}',
    connections: 64,
    duration: 2,
    maxConnectionRequests: 1000, // the server closes a connection then
  })
  return placed / duration
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number

t.test('beside a million events that wait, orders are placed and events leave, in bounded memory', async (t) => {
  const service = await start(t, database)
  const admin = await connect(t, database)
  const count = async (sql: string) =>
    Number((await admin.query(`SELECT coalesce(sum(n), 0) AS n FROM (${sql})`)).rows[0].n)
  const left = async () =>
    (await count('SELECT position AS n FROM event_positions')) - (await count('SELECT count(*) AS n FROM event_queue'))
  t.equal(await count('SELECT events AS n FROM outbox'), lines)

  const worker = startWorker({ DATABASE_URL: database, NODE_OPTIONS: heap })
  t.teardown(() => worker.kill('SIGKILL'))
  while ((await left()) < 20_000) await delay(50)
  const alone: number[] = []
  const beside: number[] = []
  const leaving: number[] = []
  // In turns, so that what else runs on the machine meets both alike: with the worker, without, without, with.
  async function measure(): Promise<void> {
    for (let slice = 0; slice < 4 * rounds; slice++) {
      const runs = slice % 4 === 0 || slice % 4 === 3
      worker.kill(runs ? 'SIGCONT' : 'SIGSTOP')
      const [before, began] = [await left(), performance.now()]
      ;(runs ? beside : alone).push(await postingRate(service.url))
      if (runs) leaving.push((((await left()) - before) / (performance.now() - began)) * 1000)
    }
  }
  // Each round by itself, so that a machine that is slower for a while is so for both of its sides.
  const sum = (rates: number[], round: number) => (rates[2 * round] as number) + (rates[2 * round + 1] as number)
  const slowerBy = () =>
    1 - median(Array.from({ length: alone.length / 2 }, (_, round) => sum(beside, round) / sum(alone, round)))
  do await measure()
  while (slowerBy() >= mostSlower && alone.length < 2 * mostRounds)
  const slower = slowerBy()
  t.comment(
    `POST: ${median(alone).toFixed(0)} a second alone, ${median(beside).toFixed(0)} beside, ${(slower * 100).toFixed(1)} % less`,
  )
  t.comment(`${median(leaving).toFixed(0)} events leave a second meanwhile; worker's peak ${peakMb(worker.pid)} MB`)
  t.ok(median(leaving) >= 5000)
  t.ok(slower < mostSlower)
  t.ok(peakMb(worker.pid) < maxMb)
})

t.test('a process that takes more memory is found out', async (t) => {
  const program = `const held = Buffer.alloc(${(maxMb + 20) * 1_048_576}, 1); console.log(held.length); process.stdin.resume()`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  await once(child.stdout, 'data')
  t.ok(peakMb(child.pid ?? 0) > maxMb)
})
