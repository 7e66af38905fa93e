import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { onShutdown } from '../src/index.ts'

const [how, deadlineMs] = process.argv.slice(2)
const input = createInterface({ input: process.stdin })
const finished = new Promise<void>((resolve) => {
  input.on('line', (line) => (line === 'finish' ? resolve() : console.log(`heard ${line}`)))
})

if (how === 'orphaned') while (process.connected) await delay(5)

onShutdown(
  async (reason) => {
    console.log(`closing on ${reason}`)
    if (how === 'failing') throw new Error('the pool is gone')
    if (how === 'when-told') await finished
    console.log('closed')
  },
  {
    deadlineMs: Number(deadlineMs),
    onFailure: (error) => console.log(`failed: ${error.message}`),
    onUnhandled: (error, kind) => console.log(`${kind}: ${error instanceof Error ? error.message : error}`),
  },
)
input.on('line', (line) => {
  if (line === 'reject') Promise.withResolvers().reject(new Error('nobody waits for this'))
  if (line === 'reject with a text') Promise.withResolvers().reject('a text')
  if (line === 'throw') throw new Error('nobody catches this')
})
setInterval(() => {}, 1000) // as a server would, it stays until it is closed
console.log('ready')
