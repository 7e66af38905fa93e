import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { publish } from '../src/release/publish.ts'
import { at, bumpArgs, createRepository, git, outsideQuarantine, refuses, rivalWins } from './release/repository.ts'

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
    `${outsideQuarantine} GIT_AUTHOR_NAME=Rival GIT_AUTHOR_EMAIL=rival@example.org \
       GIT_COMMITTER_NAME=Rival GIT_COMMITTER_EMAIL=rival@example.org \
       sh -c 'git update-ref refs/heads/main $(git commit-tree -p main -m x main^{tree})'`,
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
