import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { describe, judge, readWorkflow } from '../src/workflow-policy.ts'
import { rules } from '../src/workflow-rules.ts'

const root = join(import.meta.dirname, '../..')
const ours = join(root, '.github/workflows')
const bad = join(import.meta.dirname, 'workflows/bad')

const paths = (folder: string) => globSync('*.yml', { cwd: folder }).map((name) => join(folder, name))

t.test('the workflows of this repository keep every rule', async (t) => {
  const workflows = paths(ours).map(readWorkflow)
  t.ok(workflows.length >= 8)
  t.same(judge(workflows).map(describe), [])
})

t.test('each bad workflow trips the rule it is named after, and no other', async (t) => {
  for (const path of paths(bad)) {
    const [rule] = basename(path).split('.')
    const findings = judge([readWorkflow(path)])
    t.ok(findings.length > 0, `${basename(path)} is found bad`)
    t.same([...new Set(findings.map((finding) => finding.rule))], [rule], basename(path))
  }
})

t.test('every rule has a bad workflow', async (t) => {
  const shown = paths(bad).map((path) => basename(path).split('.')[0])
  t.same(
    Object.keys(rules).filter((rule) => !shown.includes(rule)),
    [],
  )
  t.ok(shown.length >= 15)
})

t.test('an action has one commit across files', async (t) => {
  const workflows = [join(ours, 'ci.yml'), join(bad, 'one-pin-for-an-action.yml')].map(readWorkflow)
  t.same(judge(workflows.slice(0, 1)), [])
  t.match(
    judge(workflows).map(({ rule, file }) => `${file} ${rule}`),
    ['one-pin-for-an-action.yml one-pin-for-an-action'],
  )
})

t.test('a file that is no workflow is refused in one sentence', async (t) => {
  t.throws(() => readWorkflow(join(import.meta.dirname, '../package.json')), /package\.json is not a workflow/)
})

/** The scripts and Nx targets that a text names, which are not there. */
function missing(text: string): string[] {
  const scripts = [...text.matchAll(/\b(?:node|bash) ((?:\.ci|[\w.-]+)\/[\w./-]+)/g)].map(([, path = '']) => path)
  const targets = [...text.matchAll(/\bnx run ([\w-]+):([\w-]+)/g)].map(([, project = '', target = '']) => {
    const about = globSync('{apps/*,packages/*,gitops,infra}/package.json', { cwd: root })
      .map((file) => JSON.parse(readFileSync(join(root, file), 'utf8')))
      .find(({ nx }) => nx.name === project)
    return (about?.scripts?.[target] ?? about?.nx.targets?.[target]) === undefined ? `${project}:${target}` : ''
  })
  return [...scripts.filter((path) => !existsSync(join(root, path))), ...targets.filter((it) => it !== '')]
}

t.test('whatever a workflow runs is in the repository', async (t) => {
  for (const path of paths(ours)) t.same(missing(readFileSync(path, 'utf8')), [], basename(path))
  t.same(missing('run: node gitops/src/gone.ts && npx nx run gitops:gone'), ['gitops/src/gone.ts', 'gitops:gone'])
  t.same(missing('run: sudo bash .ci/gone'), ['.ci/gone'])
})
