import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { releasePath } from '../src/release/environments.ts'
import { publish } from '../src/release/publish.ts'
import { createRepository, digest, git, image, outsideQuarantine, refuses, rivalWins } from './release/repository.ts'

const unknown = 'a'.repeat(40)
const at = (list: string[], index: number) => list.at(index) ?? ''
const bumpArgs = (env: string, commit: string, number = 1) => [
  'bump',
  '--env',
  env,
  '--image',
  image(number),
  '--commit',
  commit,
]

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
  t.match(done, { status: 0, stderr: '' })
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

t.test('another writer between fetch and push', async (t) => {
  const race = (t: Test) => {
    const repository = createRepository(t)
    return { ...repository, rival: () => git(repository.origin, ['branch', '-f', 'rival', 'main']) }
  }
  await t.test('loses nothing', async (t) => {
    const repository = race(t)
    repository.rival()
    repository.write('notes.txt', 'rival\n', 'rival')
    repository.hook('pre-receive', rivalWins)
    await repository.bump('dev', at(repository.sources, 1), 1)
    t.equal(git(repository.origin, ['show', 'main:notes.txt']), 'rival')
    t.equal(repository.release('dev').commit, at(repository.sources, 1))
  })
  await t.test('is not overwritten by an older commit', async (t) => {
    const repository = race(t)
    const before = repository.tip()
    await repository.bump('dev', at(repository.sources, 3), 3)
    repository.rival()
    git(repository.origin, ['update-ref', 'refs/heads/main', before])
    repository.hook('pre-receive', rivalWins)
    await t.rejects(repository.bump('dev', at(repository.sources, 2), 2), { message: /is older than/ })
    t.equal(repository.release('dev').commit, at(repository.sources, 3))
  })
  await t.test('is not rolled back for another one, nor promoted for it', async (t) => {
    const repository = race(t)
    const { origin, sources } = repository
    await repository.bump('dev', at(sources, 0), 0)
    await repository.bump('dev', at(sources, 1), 1)
    const before = repository.tip()
    await repository.bump('dev', at(sources, 2), 2)
    repository.rival()
    for (const args of [
      ['rollback', '--env', 'dev'],
      ['promote', '--from', 'dev', '--to', 'staging'],
    ]) {
      git(origin, ['update-ref', 'refs/heads/main', before])
      repository.hook('pre-receive', rivalWins)
      await t.rejects(repository.run(...args), { message: /dev has changed to \w+ meanwhile/ })
      t.equal(repository.tip(), git(origin, ['rev-parse', 'rival']))
    }
  })
})

t.test('a branch that never stands still is given up', async (t) => {
  const { origin, clone, hook, tip } = createRepository(t)
  hook(
    'pre-receive',
    `${outsideQuarantine} sh -c 'git update-ref refs/heads/main $(git commit-tree -p main -m x main^{tree})'`,
    'always',
  )
  const before = tip()
  const place = { folder: clone, remote: 'origin', branch: 'main', tries: 3 }
  let decided = 0
  const edit = async () => ({ files: { 'notes.txt': `${++decided}\n` }, subject: 'Note', body: '' })
  await t.rejects(publish(place, edit), { message: 'main of origin never stood still in 3 tries: run this again' })
  t.equal(decided, 3)
  t.equal(git(origin, ['rev-list', '--count', `${before}..main`]), '3', 'the rival was first three times')
  t.equal(git(origin, ['diff', '--name-only', before, 'main']), '')
})

t.test('a push whose answer is lost is found, and not done twice', async (t) => {
  const repository = createRepository(t)
  const { origin, sources } = repository
  await repository.bump('dev', at(sources, 0), 0)
  await repository.bump('dev', at(sources, 1), 1)
  const before = repository.tip()
  repository.hook('post-receive', 'kill -9 $PPID')
  t.match(await repository.run('rollback', '--env', 'dev'), /is quarantined/)
  t.equal(git(origin, ['rev-parse', 'main^']), before)
})

t.test('a repository set up as the README says keeps its history', async (t) => {
  const { origin, clone, sources } = createRepository(t)
  const push = (...args: string[]) => spawnSync('git', ['push', '--quiet', 'origin', ...args], { cwd: clone }).status
  git(clone, ['fetch', '--quiet'])
  const backwards = ['--force', `${at(sources, 2)}:refs/heads/main`]
  t.not(push(...backwards), 0, 'force-push is refused')
  t.not(push('--delete', 'main'), 0, 'deletion is refused')
  t.equal(git(origin, ['rev-parse', 'main']), at(sources, 5))
  // The control: without the setting the same push passes.
  git(origin, ['config', 'receive.denyNonFastForwards', 'false'])
  t.equal(push(...backwards), 0)
})

t.test('a remote that refuses or cannot be reached says so in one sentence', async (t) => {
  const repository = createRepository(t)
  const args = bumpArgs('dev', at(repository.sources, 1))
  repository.hook('pre-receive', 'echo "not on a Friday"; exit 1')
  await refuses(t, repository, args, /origin refuses a push to main, .*declined.*: open a pull request with --request/)
  git(repository.clone, ['remote', 'set-url', 'origin', 'https://127.0.0.1:9/orders.git'])
  await refuses(t, repository, args, /origin cannot be reached/)
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
