import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { releasePath } from '../src/release/environments.ts'
import { at, bumpArgs, createRepository, digest, git, image, refuses } from './release/repository.ts'

const unknown = 'a'.repeat(40)

t.test('bump writes one file, once, and nothing of the clone', async (t) => {
  const repository = createRepository(t)
  const { origin, clone, sources } = repository
  const before = git(origin, ['show', `main:${releasePath('dev')}`])
  t.match(
    await repository.bump('dev', at(sources, 0), 1),
    new RegExp(`^dev asks for ${at(sources, 0).slice(0, 10)}, by `),
  )
  const tip = repository.tip()
  t.equal(git(origin, ['diff', '--name-only', 'main^', 'main']), releasePath('dev'))
  t.same(repository.release('dev'), {
    commit: at(sources, 0),
    images: [{ name: 'orders-api', newName: 'registry.example.com/orders/orders-api', digest: digest(1) }],
  })
  const after = git(origin, ['show', `main:${releasePath('dev')}`])
  const kept = before.split('\n').filter((line) => !/digest:|revision:/.test(line))
  t.same(
    kept.filter((line) => !after.split('\n').includes(line)),
    [],
    'every other line and comment stays',
  )
  const message = git(origin, ['log', '-1', '--format=%B', 'main'])
  t.match(message, `Source: ${at(sources, 0)}`)
  t.match(message, /^\[skip ci\]$/m, 'no workflow starts from it')

  t.match(await repository.bump('dev', at(sources, 0), 1), /already: nothing to write/)
  t.equal(repository.tip(), tip, 'the second time writes nothing')

  t.equal(git(clone, ['status', '--porcelain']), '', 'the working tree is as it was')
  t.equal(git(clone, ['rev-parse', 'HEAD']), repository.start, 'and so is the branch')
  t.equal(git(clone, ['for-each-ref', 'refs/release']), '', 'no reference is left')
})

t.test('bump runs as a command, from a shallow clone and any folder in it', async (t) => {
  const repository = createRepository(t)
  const shallow = join(repository.folder, 'shallow')
  await repository.bump('dev', at(repository.sources, 0), 1)
  git(repository.folder, ['clone', '--quiet', '--depth=1', `file://${repository.origin}`, shallow])
  const cli = join(import.meta.dirname, '../src/release/cli.ts')
  const command = (...args: string[]) =>
    spawnSync(process.execPath, [cli, ...args], { cwd: join(shallow, 'gitops'), encoding: 'utf8' })
  const done = command(...bumpArgs('dev', at(repository.sources, 3), 2))
  t.match(done, { status: 0, stderr: /^registry\.example\.com did not say whether it has [^\n]+\n$/ })
  t.equal(repository.release('dev').commit, at(repository.sources, 3))
  const refused = command(...bumpArgs('dev', at(repository.sources, 1), 3))
  t.match(refused, { status: 1, stdout: '', stderr: /^\w+ is older than \w+, which dev asks for: [^\n]*\n$/ })
  t.match(command('--help'), { status: 0, stdout: /rollback {2}--env E/ })
})

t.test('what cannot be meant is refused in one sentence', async (t) => {
  const repository = createRepository(t)
  const { sources } = repository
  const [side = ''] = repository.commits('side', 1, at(sources, 1))
  const [alien = ''] = repository.commits('alien', 1)
  await repository.bump('dev', at(sources, 2), 1)
  const source = ['--commit', at(sources, 3)]
  const cases: [string[], RegExp][] = [
    [[], /is not a command/],
    [['deploy'], /^deploy is not a command/],
    [['bump', '--force'], /Unknown option/],
    [['bump', ...source], /needs --image/],
    [['bump', '--env', 'dev', '--image', image(1)], /needs --commit/],
    [bumpArgs('test', at(sources, 3)), /test is not an environment: choose dev, staging, prod/],
    [bumpArgs('../dev', at(sources, 3)), /is not an environment/],
    [
      ['bump', '--env', 'dev', '--image', 'registry.example.com/orders/orders-api:1.2', ...source],
      /does not fix an image/,
    ],
    [['bump', '--env', 'dev', '--image', image(1).replace('@', ':1@'), ...source], /does not fix an image/],
    [
      ['bump', '--env', 'dev', '--image', image(1).replace('orders/', 'other/'), ...source],
      /is not in registry.example.com/,
    ],
    [['bump', '--env', 'dev', '--image', image(1, 'orders-worker'), ...source], /runs orders-api too/],
    [bumpArgs('dev', 'abc1234'), /not a whole commit id/],
    [bumpArgs('dev', unknown), /not part of the branch/],
    [bumpArgs('dev', side), /not part of the branch/],
    [bumpArgs('dev', alien), /not part of the branch/],
    [bumpArgs('dev', at(sources, 0), 2), /is older than/],
    [bumpArgs('staging', at(sources, 3), 2), /dev never asked for/],
    [bumpArgs('prod', at(sources, 2)), /staging never asked for/],
    [['promote', '--from', 'dev', '--to', 'prod'], /from staging, not from dev/],
    [['promote', '--from', 'staging', '--to', 'dev'], /nothing is promoted to dev/],
    [['promote', '--from', 'dev', '--to', 'dev'], /nothing is promoted to dev/],
    [['promote', '--from', 'dev', '--to', 'local'], /nothing is promoted to local/],
    [['promote', '--from', 'staging', '--to', 'prod'], /staging has no release yet/],
    [['promote', '--from', 'dev', '--to', 'staging', '--commit', at(sources, 1)], /dev asks for \w+, not/],
    [['promote', '--from', 'dev'], /needs --to/],
    [['rollback'], /needs --env/],
    [['rollback', '--env', 'staging'], /has no release yet/],
    [['rollback', '--env', 'dev'], /never asked for anything older/],
    [['rollback', '--env', 'dev', '--to', 'main'], /main is not a commit/],
    [['rollback', '--env', 'dev', '--to', at(sources, 2)], /is not older than/],
    [['rollback', '--env', 'dev', '--to', at(sources, 1)], /never asked for/],
    [['rollback', '--release', 'sha256:1'], /is not a commit or a digest/],
    [['rollback', '--release', digest(1)], /is not quarantined/],
    [['rollback', '--release', digest(1), '--env', 'dev'], /stands alone/],
    [['status', '--remote', 'nowhere'], /nowhere is not a repository/],
    [['status', '--branch', 'trunk'], /origin has no branch trunk/],
    [['status', '--branch', 'main:other'], /main:other is not a branch/],
    [[...bumpArgs('dev', at(sources, 3)), '--request', '+other'], /\+other is not a branch/],
    [[...bumpArgs('dev', at(sources, 3)), '--request', 'main'], /would overwrite main/],
    [['adopt', '--repo', 'orders', '--registry', 'r.example.org/o', '--domain', 'example.org'], /not a repository/],
    [
      ['adopt', '--repo', 'https://git.example.org/o/n', '--registry', 'r', '--domain', 'example.org'],
      /not a registry/,
    ],
    [
      ['adopt', '--repo', 'https://git.example.org/o/n', '--registry', 'r.example.org/o', '--domain', 'X'],
      /not a domain/,
    ],
    [['diff', '--base', unknown], /cannot be compared with/],
  ]
  for (const [args, pattern] of cases) await refuses(t, repository, args, pattern)
  const inside = join(repository.folder, 'origin.git')
  t.equal(
    spawnSync(process.execPath, [join(import.meta.dirname, '../src/release/cli.ts'), 'status'], { cwd: inside }).status,
    1,
  )
})

t.test('two lines of history are not compared', async (t) => {
  const repository = createRepository(t)
  const { clone, sources } = repository
  const [left = ''] = repository.commits('left', 1, at(sources, 5))
  const [right = ''] = repository.commits('right', 1, at(sources, 5))
  git(clone, ['fetch', '--quiet'])
  git(clone, ['merge', '--quiet', 'origin/left'])
  git(clone, ['merge', '--quiet', '--no-edit', 'origin/right'])
  git(clone, ['push', '--quiet', 'origin', 'main'])
  await repository.bump('dev', left, 1)
  await refuses(t, repository, bumpArgs('dev', right, 2), /separate lines of history/)
  await repository.bump('dev', git(clone, ['rev-parse', 'HEAD']), 3)
  t.equal(repository.release('dev').images[0]?.digest, digest(3), 'the merge contains both')
})

t.test('a file that is not what it should be lets nothing through', async (t) => {
  const repository = createRepository(t)
  const quarantine = 'gitops/apps/orders/releases/quarantine.yaml'
  const args = bumpArgs('dev', at(repository.sources, 1))
  for (const text of ['quarantined: {}\n', 'quarantined:\n  - digest: x\n', '- a\n', 'a: [\n']) {
    repository.write(quarantine, text)
    await refuses(t, repository, args, /quarantine\.yaml is not/)
  }
  repository.write(quarantine, 'quarantined: []\n')
  for (const text of ['images: 1\n', 'images: [{ name: orders-api }]\n', 'a: [\n', '']) {
    repository.write(releasePath('dev'), text)
    await refuses(t, repository, args, /releases\/dev\/kustomization\.yaml is not/)
  }
})
