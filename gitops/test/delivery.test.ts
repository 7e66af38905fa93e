import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import t from 'tap'
import { addressesOf, forkFact } from '../src/delivery/facts.ts'
import { proposals } from '../src/delivery/proposals.ts'
import { whyNot } from '../src/delivery/runs-well.ts'
import { at, createRepository } from './release/repository.ts'
import { startService } from './service.ts'

const nowhere = new URL('http://127.0.0.1:1/')

t.test('nothing is built before a fork has said what is its own', async (t) => {
  t.throws(() => forkFact('registry'), /^registry is still registry\.example\.com\/orders: run npx nx run gitops:adopt/)
  const facts = { fork: 'domain: shop.test\n  registry: ghcr.io/shop', one: 'environment: dev\n  host: orders.dev' }
  const root = t.testdir({
    fork: { 'facts.yaml': `data:\n  ${facts.fork}\n` },
    'dev-one': { 'facts.yaml': `data:\n  ${facts.one}\n` },
    'dev-two': { 'facts.yaml': `data:\n  ${facts.one}\n  domain: localhost\n` },
  })
  t.equal(forkFact('registry', root), 'ghcr.io/shop')
  t.throws(() => forkFact('owner', root), /^owner is not a fact of the fork/)
  t.same(addressesOf('dev', root).map(String), ['https://orders.dev.localhost/', 'https://orders.dev.shop.test/'])
  t.same(addressesOf('prod', root), [])
  t.equal(addressesOf('staging').length, 2, 'one address a target')
})

t.test('a release is proposed once it runs well, and once only', async (t) => {
  const repository = createRepository(t)
  const [older, newer] = [at(repository.sources, 0), at(repository.sources, 1)]
  const place = { folder: repository.clone, remote: 'origin', branch: 'main' }
  const service = new URL(await startService(t, { ORDERS_COMMIT: newer }))
  const look = async (address: URL) => {
    const said: string[] = []
    return {
      found: await proposals(
        place,
        () => [address],
        (line) => said.push(line),
      ),
      said,
    }
  }
  t.match(await look(service), {
    found: [],
    said: [/^staging: dev has no release yet/, /^prod: staging has no release/],
  })
  await repository.bump('dev', older, 1)
  t.match(await look(service), { found: [], said: [`runs ${newer}, not ${older}`] })
  await repository.bump('dev', newer, 2)
  t.match(await look(nowhere), { found: [], said: [/runs nothing that answers/] })
  t.same((await look(service)).found, [{ from: 'dev', to: 'staging', commit: newer }])

  await repository.run('promote', '--from', 'dev', '--to', 'staging', '--request', 'promote/staging')
  t.match(await look(service), { found: [], said: [/is proposed already/] })
  await repository.run('promote', '--from', 'dev', '--to', 'staging')
  const { found, said } = await look(service)
  t.same(found, [{ from: 'staging', to: 'prod', commit: newer }])
  t.match(said, [/asks for what dev asks for already/])
})

t.test('running well is more than answering', async (t) => {
  const service = new URL(await startService(t, { ORDERS_COMMIT: 'c' }))
  t.equal(await whyNot(service, 'c'), undefined)
  t.match(await whyNot(service, 'd'), /runs c, not d/)
  const limited = new URL(await startService(t, { ORDERS_COMMIT: 'c', RATE_LIMITS: 'anonymous=2' }))
  t.match(await whyNot(limited, 'c'), /^the smoke test of 127\.0\.0\.1:\d+ fails: /)
})

t.test('a proposal opens one pull request, and renews it', async (t) => {
  const repository = createRepository(t)
  const commit = at(repository.sources, 0)
  const bin = join(repository.folder, 'bin')
  const calls = join(repository.folder, 'calls')
  mkdirSync(bin)
  // GitHub is the one thing that nobody can run here.
  const gh = join(bin, 'gh')
  const propose = (open: string) => {
    writeFileSync(calls, '')
    writeFileSync(gh, `#!/bin/sh\necho "$1 $2 $3 $4 $5 $6" >>${calls}\n[ "$2" != list ] || echo "${open}"\n`)
    chmodSync(gh, 0o755)
    const script = join(import.meta.dirname, '../src/delivery/propose.sh')
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }
    execFileSync('bash', [script, 'dev', 'staging', commit], { cwd: repository.clone, env, stdio: 'pipe' })
    return readFileSync(calls, 'utf8').trim().split('\n')
  }
  t.throws(() => propose(''), /dev has no release yet/, 'what is refused opens nothing')
  await repository.bump('dev', commit, 1)
  t.match(propose(''), [/^pr list --head promote\/staging/, /^pr create --base main --head promote\/staging/])
  t.match(propose('7'), [/^pr list/, /^pr edit promote\/staging/])
  t.not(repository.release('staging').commit, commit, 'until it is merged')
  await repository.run('promote', '--from', 'dev', '--to', 'staging')
  t.same(propose(''), [''], 'nothing to propose')
})
