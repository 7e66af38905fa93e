import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { releasePath } from '../src/release/environments.ts'
import { judge, race } from './release/race.ts'
import { createRepository, digest, git, image } from './release/repository.ts'

const processes = 8
const bumps = 50

/** The same order in every run, and unlike the order of the numbers. */
const shuffled = (count: number) => Array.from({ length: count }, (_, index) => (index * 37 + 11) % count)

function createClones({ folder, origin }: ReturnType<typeof createRepository>): string[] {
  return Array.from({ length: processes }, (_, lane) => {
    const clone = join(folder, `clone-${lane}`)
    git(folder, ['clone', '--quiet', '--no-checkout', origin, clone])
    return clone
  })
}

/**
 * Writes other things without the tool, as long as the race goes on and 12 times at most: takes the newest main and
 * pushes, again when it was not first. It keeps a reference of its own, because a push of the tool from the same clone
 * moves origin/main, and git gives a fetch up that meets that.
 */
async function pushOtherWork({ clone, tip }: ReturnType<typeof createRepository>, racing: Promise<unknown>) {
  let over = false
  void racing.finally(() => {
    over = true
  })
  let written = 0
  for (let mine = tip(); written < 12; ) {
    // A bump between two of these, so that they meet all along the way.
    while (!over && tip() === mine) await setTimeout(10)
    if (over) break
    git(clone, ['fetch', '--quiet', '--refmap=', 'origin', '+main:refs/other/main'])
    git(clone, ['reset', '--quiet', '--hard', 'refs/other/main'])
    git(clone, ['commit', '--quiet', '--allow-empty', '-m', `Other work ${written}`])
    try {
      git(clone, ['push', '--quiet', 'origin', 'HEAD:main'])
      mine = tip()
      written++
    } catch {
      // Somebody was first.
    }
  }
  return written
}

t.test('50 bumps of 50 commits: none of them puts an older one over a newer one', async (t) => {
  const repository = createRepository(t, bumps)
  const { origin, sources } = repository
  const order = shuffled(bumps)
  t.equal(new Set(order).size, bumps)
  const commands = order.map((number) => [
    'bump',
    '--env',
    'dev',
    '--image',
    image(number),
    '--commit',
    sources[number] ?? '',
  ])
  const outcomes = await race(createClones(repository), commands)
  t.equal(outcomes.length, bumps)
  const done = outcomes.filter((it) => it.done)
  const digests = done.map(({ args }) => args.find((arg) => arg.includes('@'))?.split('@')[1] ?? '')
  const { landed, olderOverNewer, lost, last } = judge(origin, sources, digests)
  t.comment(`${landed} landed, ${bumps - landed} were older than what stood there`)
  t.equal(olderOverNewer, 0)
  t.same(lost, [], 'every bump that said so landed')
  t.equal(landed, done.length, 'and landed once')
  t.same(last, { commit: sources.at(-1), digest: digest(bumps - 1) }, 'the newest is what stands there')
  const refused = outcomes.filter((it) => !it.done && !/is older than \w+, which dev asks for/.test(it.said))
  t.same(refused, [], 'nothing is refused for another reason')
})

t.test('50 bumps that are all welcome, beside somebody who pushes other things: none is lost', async (t) => {
  const repository = createRepository(t, 1)
  const { origin, clone, sources } = repository
  const numbers = shuffled(bumps)
  // Builds of one commit: none is older than another, so every one of them has to land.
  const commands = numbers.map((number) => [
    'bump',
    '--env',
    'dev',
    '--image',
    image(number),
    '--commit',
    sources[0] ?? '',
  ])
  // Every second process shares one clone with the others, and with the person who works in it.
  const clones = createClones(repository).map((own, lane) => (lane % 2 === 0 ? clone : own))
  const racing = race(clones, commands)
  const written = await pushOtherWork(repository, racing)
  const outcomes = await racing
  t.same(
    outcomes.filter((it) => !it.done),
    [],
  )
  const { landed, lost, olderOverNewer } = judge(
    origin,
    sources,
    numbers.map((number) => digest(number)),
  )
  t.same({ landed, lost, olderOverNewer }, { landed: bumps, lost: [], olderOverNewer: 0 })
  const others = git(origin, ['log', '--format=%s', '--grep=^Other work', 'main']).split('\n').filter(Boolean)
  t.ok(written > 0, `${written} other pushes`)
  t.equal(others.length, written, 'nothing of the other writer is lost either')
  t.equal(git(clone, ['for-each-ref', 'refs/release']), '', 'no reference is left')
})

t.test('the judge finds what a writer without care does', async (t) => {
  const repository = createRepository(t, 4)
  const { origin, sources } = repository
  const path = releasePath('dev')
  await repository.bump('dev', sources[2] ?? '', 2)
  const newer = git(origin, ['show', `main:${path}`])
  repository.write(path, newer.replace(sources[2] ?? '', sources[1] ?? '').replace(digest(2), digest(1)))
  const { landed, olderOverNewer, lost } = judge(origin, sources, [digest(1), digest(2), digest(3)])
  t.same({ landed, olderOverNewer, lost }, { landed: 2, olderOverNewer: 1, lost: [digest(3)] })
})
