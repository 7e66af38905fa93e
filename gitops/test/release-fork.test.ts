import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { canRender, kustomizeMissing } from '../src/kustomize.ts'
import type { Change } from '../src/release/diff.ts'
import { report } from '../src/release/diff-report.ts'
import { environments, factsPath, releasePath } from '../src/release/environments.ts'
import { createRepository, digest, git, refuses } from './release/repository.ts'

const root = join(import.meta.dirname, '..')
const facts = ['--repo', 'https://git.example.org/team/shop.git', '--registry', 'images.example.org/team', '--domain']
const adoptArgs = ['adopt', ...facts, 'shop.example.net']

t.test('adopt writes the facts of a fork in one commit', async (t) => {
  const repository = createRepository(t)
  const { origin, clone, sources, folder } = repository
  for (const path of globSync('{apps,argocd,bootstrap,platform,targets}/**/*.yaml', { cwd: root })) {
    mkdirSync(dirname(join(clone, 'gitops', path)), { recursive: true })
    cpSync(join(root, path), join(clone, 'gitops', path))
  }
  git(clone, ['pull', '--quiet', 'origin', 'main'])
  git(clone, ['add', '.'])
  git(clone, ['commit', '--quiet', '-m', 'The whole tree'])
  git(clone, ['push', '--quiet', 'origin', 'main'])
  await repository.bump('dev', sources[1] ?? '', 1)
  const before = repository.tip()
  const comments = git(origin, ['show', `main:${factsPath}`]).match(/^#.*$/gm)

  t.match(await repository.run(...adoptArgs), /are the facts, by \w+\.$/)
  t.equal(git(origin, ['rev-parse', 'main^']), before, 'one commit')
  t.same(git(origin, ['diff', '--name-only', 'main^', 'main']).split('\n').sort(), [
    ...[...environments].sort().map(releasePath),
    factsPath,
  ])
  const written = git(origin, ['show', `main:${factsPath}`])
  t.match(written, /^ {2}domain: shop\.example\.net$/m)
  t.match(written, /^ {2}registry: images\.example\.org\/team$/m)
  t.match(written, /^ {2}repository: https:\/\/git\.example\.org\/team\/shop$/m)
  t.same(written.match(/^#.*$/gm), comments)
  t.same(repository.release('dev'), {
    commit: sources[1],
    images: [{ name: 'orders-api', newName: 'images.example.org/team/orders-api', digest: digest(1) }],
  })
  t.match(await repository.run(...adoptArgs), /already: nothing to write/)
  t.match(
    await repository.run('adopt', ...facts, 'example.org', '--branch', 'main'),
    /by \w+\.$/,
    'a domain that is part of another one is not mistaken for a copy of it',
  )

  // A copy of the files with a history of its own, as a template makes it, has none of the commits.
  const template = join(folder, 'template')
  git(folder, ['clone', '--quiet', '--depth=1', `file://${origin}`, template])
  rmSync(join(template, '.git'), { recursive: true })
  git(folder, ['init', '--quiet', '--initial-branch=copy', template])
  git(template, ['add', '.'])
  git(template, ['-c', 'user.name=Fork', '-c', 'user.email=fork@example.org', 'commit', '--quiet', '-m', 'Copy'])
  git(template, ['push', '--quiet', origin, 'copy'])
  const tip = git(origin, ['rev-parse', 'copy'])
  await refuses(
    t,
    repository,
    [
      'bump',
      '--env',
      'dev',
      '--image',
      `images.example.org/team/orders-api@${digest(2)}`,
      '--commit',
      tip,
      '--branch',
      'copy',
    ],
    /separate lines of history/,
  )
  await repository.run(...adoptArgs, '--branch', 'copy')
  const image = `images.example.org/team/orders-api@${digest(2)}`
  await repository.run('bump', '--env', 'dev', '--image', image, '--commit', tip, '--branch', 'copy')
  t.match(git(origin, ['show', `copy:${releasePath('dev')}`]), digest(2), 'adopting lets the first release in')
})

t.test('adopt refuses a repository that previews cannot follow', async (t) => {
  const repository = createRepository(t)
  const before = repository.tip()
  const adopt = (url: string) => ['adopt', '--repo', url, ...facts.slice(2), 'shop.example.net']

  for (const url of [
    'https://github.com/group/subgroup/shop',
    'https://github.com/group/subgroup/shop.git',
    'https://gitlab.com/group/shop',
    'https://gitlab.example.net:8443/group/shop',
    'https://bitbucket.org/group/shop',
  ]) {
    await refuses(t, repository, adopt(url), /previews cannot follow a subgroup or another forge/)
  }
  await refuses(t, repository, adopt('https://github.com/shop'), /give the URL of its page/)

  t.equal(repository.tip(), before, 'nothing is written')
})

t.test('adopt refuses a tree that repeats a fact', async (t) => {
  const repository = createRepository(t)
  repository.write('gitops/targets/local/facts.yaml', 'data:\n  host: orders.example.com\n')
  await refuses(t, repository, adoptArgs, /targets\/local\/facts\.yaml repeats the domain example\.com/)
  repository.write(factsPath, 'data:\n  domain: example.net\n')
  await refuses(t, repository, adoptArgs, /has no repository/)
})

const namespace = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n`
const settings = (value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: orders\n  namespace: one\ndata:\n  KEY: ${value}\n`

if (await canRender()) {
  t.test('diff tells what a change does to the clusters since it left the base', async (t) => {
    const repository = createRepository(t)
    const { clone } = repository
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(clone, 'gitops/apps/shop', path)), { recursive: true })
      writeFileSync(join(clone, 'gitops/apps/shop', path), text)
    }
    const commit = (subject: string) => {
      git(clone, ['add', '.'])
      git(clone, ['commit', '--quiet', '-m', subject])
    }
    write('base/kustomization.yaml', 'resources: [one.yaml, settings.yaml]\n')
    write('base/one.yaml', namespace('one'))
    write('base/settings.yaml', settings('a'))
    for (const target of ['dev-azure', 'prod-aws']) {
      write(`overlays/${target}/kustomization.yaml`, 'resources: [../../base]\n')
    }
    commit('Base')
    git(clone, ['branch', 'base'])
    write('overlays/prod-aws/kustomization.yaml', 'resources: [../../base, two.yaml]\n')
    write('overlays/prod-aws/two.yaml', namespace('two'))
    write('base/kustomization.yaml', 'resources: [settings.yaml]\n')
    write('base/settings.yaml', settings('b'))
    commit('Change')
    // What the base has got since is nobody's change here.
    git(clone, ['checkout', '--quiet', 'base'])
    write('overlays/dev-azure/kustomization.yaml', 'resources: [../../base, later.yaml]\n')
    write('overlays/dev-azure/later.yaml', namespace('later'))
    commit('Later')
    git(clone, ['checkout', '--quiet', 'main'])

    const text = await repository.run('diff', '--base', 'base')
    t.match(text, '| apps/shop/overlays/dev-azure | 0 | 1 | 1 |')
    t.match(text, '| apps/shop/overlays/prod-aws | 1 | 1 | 1 |')
    t.match(text, '- Namespace one (apps/shop/overlays/dev-azure)')
    t.match(text, /<summary>apps\/shop\/overlays\/prod-aws: ConfigMap one\/orders changed<\/summary>\n\n```diff\n@@/)
    t.match(text, /^- {2}KEY: a\n\+ {2}KEY: b$/m)
    t.notMatch(text, 'later')
    t.equal(git(clone, ['status', '--porcelain']), '', 'neither the index nor the working tree is touched')

    write('base/kustomization.yaml', 'resources: [one.yaml, settings.yaml]\n')
    write('base/settings.yaml', settings('a'))
    t.match(await repository.run('diff', '--base', 'base'), /^\| apps\/shop\/overlays\/prod-aws \| 1 \| 0 \| 0 \|$/m)
    t.match(await repository.run('diff', '--base', 'HEAD~1'), /two/, 'what is not committed yet counts')
    write('overlays/prod-aws/kustomization.yaml', 'resources: [../../base]\n')
    t.match(await repository.run('diff', '--base', 'base'), /^No cluster changes/)

    rmSync(join(clone, 'gitops/apps/shop/overlays/dev-azure'), { recursive: true })
    t.match(await repository.run('diff', '--base', 'base'), '| apps/shop/overlays/dev-azure | 0 | 0 | 2 |')
  })
} else t.comment(kustomizeMissing)

t.test('a report fits into a comment and cannot break out of its fences', async (t) => {
  const change: Change = {
    folder: 'apps/a',
    resource: 'ConfigMap a',
    kind: 'changed',
    patch: `@@\n+${'x'.repeat(25_000)}`,
  }
  const text = report([change, change, change, { ...change, kind: 'pruned' }], 'main')
  t.ok(text.length < 65_536)
  t.match(text, /2 more diffs do not fit here/)
  t.match(text, '- ConfigMap a (apps/a)', 'what is deleted is told whatever there is room for')
  t.match(report([{ ...change, patch: '@@\n+```\n+````' }], 'main'), /\n`{5}diff\n[\s\S]*\n`{5}\n/)
})
