import { join } from 'node:path'
import t from 'tap'
import { findFloatingPromises } from '../src/structure/floating-promises.ts'
import { guardExpressions } from '../src/structure/guard-expressions.ts'
import { readSource } from '../src/structure/source.ts'
import { type Project, readWorkspace } from '../src/structure/workspace.ts'

const root = join(import.meta.dirname, '../../..')
t.setTimeout(300_000)

/** The project `runtime` with one file instead of its own, which begins with `work` and `feeds`. */
function planted(...statements: string[]): Project {
  const { projects } = readWorkspace(root)
  const runtime = projects.find(({ folder }) => folder === 'packages/runtime') as Project
  const text = `declare function work(): Promise<number>
declare const feeds: Map<string, Promise<number>>
declare const all: { each: ReturnType<typeof make> }
const make = () => ({ idle: () => Promise.all([work()]), close: () => {} })
export async function run(emitter: NodeJS.EventEmitter, list: number[]) {
${statements.join('\n')}
}
`
  return { ...runtime, files: [{ path: 'src/planted.ts', text, ...readSource(text) }] }
}

t.test('no source of the workspace drops a promise', async (t) => {
  const { projects } = readWorkspace(root)
  t.strictSame(findFloatingPromises(root, projects), [])
})

t.test('finds each way to drop a promise', async (t) => {
  const bad = [
    'work()',
    'void work()',
    "feeds.get('a')?.then(() => {})",
    "void feeds.get('a')?.then(() => {})",
    'all.each.idle()',
    'work().then(() => {})',
    'work().finally(() => {})',
    'list.length > 1 && work()',
    'list.length > 1 ? work() : undefined',
    "emitter.on('a', () => work())",
    "emitter.on('a', async () => { await work() })",
    'setTimeout(async () => { await work() }, 1)',
    'setImmediate(() => void work())',
    'list.forEach(async () => {})',
    'await Promise.all(list.map(() => void work()))',
  ]
  const found = findFloatingPromises(root, [planted(...bad)]).map(({ where }) => where)
  t.strictSame(
    found,
    bad.map((_, i) => `packages/runtime/src/planted.ts:${i + 6}`),
  )
})

t.test('accepts promises that are handled, kept or awaited', async (t) => {
  const good = [
    'await work()',
    'work().catch(() => {})',
    'work().then(() => {}, () => {})',
    "feeds.get('a')?.catch(() => {})",
    'let kept = work()',
    'kept = work()',
    'await kept',
    'all.each.close()',
    'list.forEach((n) => n + 1)',
    "emitter.on('a', () => { work().catch(() => {}) })",
    "emitter.on('a', () => work().catch(() => {}))",
    'const run = async () => void (await work())',
    'return run',
  ]
  t.strictSame(findFloatingPromises(root, [planted(...good)]), [])
})

t.test('keeps the lines of what it guards', async (t) => {
  t.equal(
    guardExpressions('const a: Promise<1> = f()\nvoid a\ng()\n'),
    'const a: Promise<1> = f()\nvoid assertNotPromise(a)\nassertNotPromise(g())\n',
  )
})
