import t from 'tap'
import { releasePath } from '../src/release/environments.ts'
import { at, bumpArgs, createRepository, digest, git, refuses } from './release/repository.ts'

t.test('promote copies exactly what the environment before asks for', async (t) => {
  const repository = createRepository(t)
  const { origin, sources } = repository
  const before = git(origin, ['show', `main:${releasePath('prod')}`])
  await repository.bump('dev', at(sources, 1), 1)
  await repository.run('promote', '--from', 'dev', '--to', 'staging', '--commit', at(sources, 1))
  t.same(repository.release('staging'), repository.release('dev'))
  t.equal(git(origin, ['diff', '--name-only', 'main^', 'main']), releasePath('staging'))
  t.match(await repository.run('promote', '--from', 'dev', '--to', 'staging'), /already/)

  await repository.bump('dev', at(sources, 2), 2)
  const tip = repository.tip()
  await repository.run('promote', '--from', 'staging', '--to', 'prod', '--request', 'promote/prod')
  t.equal(repository.tip(), tip, 'a request leaves main alone')
  t.equal(git(origin, ['rev-parse', 'promote/prod^']), tip)
  t.notMatch(git(origin, ['log', '-1', '--format=%B', 'promote/prod']), /skip ci/, 'and is checked like any other')
  await repository.bump('dev', at(sources, 3), 3)
  const request = ['--from', 'staging', '--to', 'prod', '--request']
  t.match(await repository.run('promote', ...request, 'promote/prod'), /on promote\/prod, once that is merged/)
  t.equal(git(origin, ['rev-parse', 'promote/prod^']), tip, 'made again, it is the one that was there')
  await repository.run('promote', '--from', 'dev', '--to', 'staging')
  const earlier = git(origin, ['rev-parse', 'promote/prod'])
  await repository.run('promote', ...request, 'promote/prod')
  t.equal(
    git(origin, ['show', `promote/prod:${releasePath('prod')}`]),
    git(origin, ['show', `main:${releasePath('staging')}`]),
  )
  t.equal(git(origin, ['rev-parse', 'promote/prod^2']), earlier, 'made anew, it needs no force')
  t.equal(git(origin, ['diff', '--name-only', 'main', 'promote/prod']), releasePath('prod'))
  git(origin, ['update-ref', 'refs/heads/main', 'promote/prod'])
  await refuses(t, repository, ['rollback', '--env', 'prod', '--to', at(sources, 1)], /prod never asked for/)
  git(origin, ['update-ref', 'refs/heads/main', 'promote/prod^'])
  git(origin, ['branch', 'feature', 'main'])
  repository.write('notes.txt', before, 'feature')
  await refuses(t, repository, ['promote', ...request, 'feature'], /feature holds something else/)
  await repository.bump('prod', at(sources, 1), 1)
  t.same(repository.release('prod').commit, at(sources, 1), 'bump may repeat what the environment before has run')
  await refuses(t, repository, bumpArgs('prod', at(sources, 2), 2), /staging never asked for/)
  await repository.run('promote', '--from', 'staging', '--to', 'prod')
  t.same(repository.release('prod'), repository.release('staging'))
})

t.test('rollback is one commit that stays', async (t) => {
  const repository = createRepository(t)
  const { origin, sources } = repository
  for (const index of [0, 1, 3]) await repository.bump('dev', at(sources, index), index)
  await repository.run('promote', '--from', 'dev', '--to', 'staging')
  const before = repository.tip()
  t.match(await repository.run('rollback', '--env', 'dev', '--reason', 'orders are lost'), /is quarantined\.$/)
  t.equal(git(origin, ['rev-parse', 'main^']), before, 'one commit')
  t.same(git(origin, ['diff', '--name-only', 'main^', 'main']).split('\n'), [
    releasePath('dev'),
    'gitops/apps/orders/releases/quarantine.yaml',
  ])
  t.same(repository.release('dev').images[0]?.digest, digest(1))
  t.same(repository.quarantine(), [
    { environment: 'dev', commit: at(sources, 3), digests: [digest(3)], reason: 'orders are lost' },
  ])

  await refuses(
    t,
    repository,
    bumpArgs('dev', at(sources, 3), 3),
    /rolled back in dev \(orders are lost\) and is quarantined/,
  )
  await refuses(t, repository, bumpArgs('dev', at(sources, 4), 3), /quarantined/)
  await refuses(t, repository, bumpArgs('dev', at(sources, 3), 33), /quarantined/)
  await refuses(t, repository, bumpArgs('dev', at(sources, 2), 2), /is older than \w+, which dev was rolled back from/)
  await refuses(t, repository, ['promote', '--from', 'staging', '--to', 'prod'], /quarantined/)
  t.match(await repository.run('status'), /^staging +\w+ .* QUARANTINED Change 4 of main$/m)

  await repository.run('rollback', '--env', 'dev')
  t.same(repository.release('dev').commit, at(sources, 0), 'the next one goes further back, not forth')
  await refuses(t, repository, ['rollback', '--env', 'dev', '--to', at(sources, 1).slice(0, 9)], /quarantined/)

  await repository.run('rollback', '--release', digest(3))
  await repository.run('rollback', '--release', at(sources, 1))
  t.same(repository.quarantine(), [])
  await repository.bump('dev', at(sources, 3), 3)
  await repository.run('promote', '--from', 'staging', '--to', 'prod')
  t.same(repository.release('prod').commit, at(sources, 3), 'what is released may run again')

  await repository.bump('dev', at(sources, 5), 5)
  await repository.run('rollback', '--env', 'dev', '--to', at(sources, 0).slice(0, 9))
  t.same(repository.release('dev').images[0]?.digest, digest(0))
})

t.test('status tells what every environment asks for', async (t) => {
  const repository = createRepository(t)
  await repository.bump('dev', at(repository.sources, 1), 1)
  await repository.run('promote', '--from', 'dev', '--to', 'staging')
  await repository.bump('dev', at(repository.sources, 2), 2)
  const list = JSON.parse(await repository.run('status', '--json'))
  t.match(list, [
    { environment: 'dev', commit: at(repository.sources, 2), subject: 'Change 3 of main', by: repository.tip() },
    { environment: 'staging', commit: at(repository.sources, 1), images: [{ digest: digest(1) }], quarantined: false },
    { environment: 'prod', commit: '' },
    { environment: 'local', commit: '' },
  ])
  t.match(await repository.run('status'), /^dev {10}\w{10} {2}orders-api@sha256:d{12} {2}\S+ {2}Change 3 of main$/m)
})
