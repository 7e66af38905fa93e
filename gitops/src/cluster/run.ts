/** Runs the deployment on a real Kubernetes and Argo CD on this machine. Usage: nx run gitops:cluster. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fetchPackages } from './images/publish.ts'
import { createKindContext, keepKindLogs, removeKind } from './kind.ts'
import { runInNamespaces, traces } from './machine.ts'
import { insideOptions } from './options.ts'
import { serverImages } from './pinned-images.ts'
import { programNames } from './pins.ts'
import { downloadSources, installPrograms } from './programs.ts'
import { stageRelease } from './release-images.ts'
import { runScenario, summary } from './scenario/step.ts'
import { requiredSteps, shortSteps, steps } from './scenario/steps.ts'

const root = join(import.meta.dirname, '../../..')

const usage = `Starts Kubernetes and Argo CD on this machine, deploys this commit by Git, and tests it as an operator would.

Usage: nx run gitops:cluster [--only TEXT] [--short] [--hold] [--keep-logs DIR] [--kind]

  --only TEXT      runs the first sync and the steps whose names contain TEXT
  --short          runs the steps that find what stops a deployment, as .ci/run does
  --hold           keeps the cluster after the steps, until Ctrl-C
  --keep-logs DIR  copies the logs of all programs there
  --kind           uses a cluster of kind instead, which needs Docker and public registries, and takes no other option

It needs root on Linux, Go 1.26, and the Debian packages containerd, runc, containernetworking-plugins, iptables, ipset,
conntrack, docker-registry and mmdebstrap.`

const args = process.argv.slice(2)
process.exitCode = await main().catch((error: Error) => {
  console.error(error.message)
  return 1
})

async function main(): Promise<number> {
  const options = readOptions()
  if (options.help) {
    console.log(usage)
    return 0
  }
  if (options.kind) return runOnKind()
  if (process.getuid?.() !== 0) throw new Error('This needs root, to make namespaces and cgroups: run it with sudo.')
  const started = performance.now()
  const programs = programNames(options.short ?? false)
  await installPrograms(console.log, programs)
  await downloadSources()
  await fetchPackages(serverImages(root), programs)
  console.log(`programs, sources and packages: ready after ${Math.round((performance.now() - started) / 1000)} s`)
  const folder = mkdtempSync(join(tmpdir(), 'orders-cluster-'))
  try {
    await stageRelease(folder)
    const status = await runInNamespaces(process.execPath, [join(import.meta.dirname, 'inside.ts'), folder, ...args])
    const left = traces()
    if (left.length > 0) throw new Error(`The cluster left behind:\n  ${left.join('\n  ')}`)
    return status
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Throws an Error for an option that has no effect, before anything is built. */
function readOptions() {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean' },
      kind: { type: 'boolean' },
      ...insideOptions,
    },
  })
  const { kind, only, short } = values
  if (kind && Object.keys(values).length > 1)
    throw new Error('--kind runs every step that it can: give no other option.')
  const possible = short ? shortSteps : steps
  if (only !== undefined && !possible.some(({ name }) => name.includes(only))) {
    throw new Error(`No step is named like "${only}": ${possible.map(({ name }) => name).join('; ')}.`)
  }
  return values
}

async function runOnKind(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'orders-cluster-'))
  try {
    const context = await createKindContext(folder)
    const rows = await runScenario(steps, context, requiredSteps)
    console.log(`\n${summary(rows)}`)
    if (rows.every(({ result }) => result === 'passed')) return 0
    await keepKindLogs(join(root, 'gitops/.cluster/logs'), context.kubernetes)
    return 1
  } finally {
    removeKind()
    rmSync(folder, { recursive: true, force: true })
  }
}
