import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { toolPath } from './tools.ts'
import { describe, judge, readWorkflow } from './workflow-policy.ts'

/** Checks every workflow and every shell script. Usage: nx run gitops:workflows */
const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const workflows = globSync('.github/workflows/*.yml', { cwd: root }).sort()
const scripts = [...globSync('{gitops,infra,apps,packages}/*/**/*.sh', { cwd: root }), '.ci/run']
  .filter((path) => !/node_modules|\/test\//.test(path))
  .sort()

type Check = { files: string[]; look: (files: string[]) => Promise<string>; control: string }

const bad = 'gitops/test/workflows/bad'
const checks: Record<string, Check> = {
  policy: {
    files: workflows,
    look: async (files) =>
      judge(files.map((file) => readWorkflow(join(root, file))))
        .map(describe)
        .join('\n'),
    control: `${bad}/fixed-runner.yml`,
  },
  actionlint: {
    files: workflows,
    look: async (files) => said('actionlint', ['-no-color', '-shellcheck', await toolPath('shellcheck'), ...files]),
    control: `${bad}/no-expression-in-script.yml`,
  },
  zizmor: {
    files: workflows,
    look: (files) =>
      said('zizmor', [
        ...['--offline', '--quiet', '--no-progress', '--color=never', '--persona=auditor'],
        ...['--config', '.github/zizmor.yml', ...files],
      ]),
    control: `${bad}/no-expression-in-script.yml`,
  },
  shellcheck: {
    files: scripts,
    look: (files) => said('shellcheck', ['--enable=quote-safe-variables,check-unassigned-uppercase', ...files]),
    control: 'gitops/test/workflows/bad.sh',
  },
}

/** What a tool holds against files; empty for nothing. */
async function said(name: Parameters<typeof toolPath>[0], args: string[]): Promise<string> {
  const path = await toolPath(name)
  // A Python program lies beside the packages that it needs.
  const env = { ...process.env, PYTHONPATH: join(path, '../..') }
  const outcome = await run(path, args, { cwd: root, env }).catch(
    (error: { stdout?: string; stderr?: string; message: string }) => error,
  )
  if (!('message' in outcome)) return ''
  return `${outcome.stdout ?? ''}${outcome.stderr ?? ''}`.trim() || outcome.message
}

for (const [name, { files, look, control }] of Object.entries(checks)) {
  try {
    const found = await look(files)
    if (found !== '') throw new Error(found)
    if ((await look([control])) === '') throw new Error(`It finds nothing in ${control} either: it checks nothing.`)
    console.log(`${name}: ${files.length} files, nothing found`)
  } catch (error) {
    console.log(`${name}:\n${(error as Error).message}`)
    process.exitCode = 1
  }
}
