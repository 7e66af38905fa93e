import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readApplications } from './applications.ts'
import { chartArguments } from './helm.ts'
import { build } from './kustomize.ts'
import { gitopsRoot } from './render.ts'

const targets = globSync('*', { cwd: join(gitopsRoot, 'bootstrap/overlays') }).sort()

const usage = `Installs Argo CD and the root Application of a target; Argo CD does the rest, and keeps itself from then on.

Usage: nx run gitops:bootstrap -- TARGET [--context NAME] [--print]

  TARGET          one of ${targets.join(', ')}
  --context NAME  the cluster, as kubectl config get-contexts names it; the current one by default
  --print         says what would be run, and runs nothing`

type Step = { command: string; args: string[]; input?: string }

try {
  const { values, positionals } = parseArgs({
    options: { context: { type: 'string' }, print: { type: 'boolean' }, help: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.help) console.log(usage)
  else for (const step of await steps(positionals, values.context)) await (values.print ? print(step) : run(step))
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function steps([target, ...others]: string[], context: string | undefined): Promise<Step[]> {
  if (target === undefined || others.length > 0 || !existsSync(join(gitopsRoot, 'bootstrap/overlays', target))) {
    throw new Error(`${target ?? 'Nothing'} is not a target: name one of ${targets.join(', ')}.`)
  }
  const argocd = (await readApplications(target)).find(({ name }) => name === 'argocd')
  if (argocd?.chart === undefined) throw new Error(`${target} has no Application argocd that is a chart: restore it.`)
  const where = (flag: string) => (context === undefined ? [] : [flag, context])
  return [
    {
      command: 'helm',
      args: [
        ...['upgrade', '--install', ...chartArguments(argocd, argocd.chart), '--create-namespace'],
        ...['--wait', '--timeout', '10m', ...where('--kube-context')],
      ],
    },
    {
      command: 'kubectl',
      args: ['apply', '--server-side', '--force-conflicts', '--filename', '-', ...where('--context')],
      input: await build(join(gitopsRoot, 'bootstrap/overlays', target)),
    },
  ]
}

function print({ command, args, input }: Step): void {
  console.log([command, ...args].join(' '))
  if (input !== undefined) console.log(`<<END\n${input}END`)
}

async function run({ command, args, input }: Step): Promise<void> {
  const child = spawn(command, args, { stdio: [input === undefined ? 'ignore' : 'pipe', 'inherit', 'inherit'] })
  child.stdin?.end(input)
  const [code] = await once(child, 'close').catch(() => {
    throw new Error(`This needs ${command}: install it and put it on PATH.`)
  })
  if (code !== 0) throw new Error(`${command} ended with ${code}: see above, then run this again.`)
}
