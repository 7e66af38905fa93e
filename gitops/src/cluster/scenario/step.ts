import { performance } from 'node:perf_hooks'
import type { Machine } from '../boot.ts'
import type { ChartRepositories } from '../charts.ts'
import type { Programs } from '../control-plane.ts'
import type { Forge } from '../forge.ts'
import type { Fork } from '../fork.ts'
import type { Kubernetes } from '../kubernetes.ts'
import type { ReleaseImages } from '../release-images.ts'

/** What every step works with. */
export type Context = {
  kubernetes: Kubernetes
  fork: Fork
  images: ReleaseImages
  /** A folder for files of the run. */
  folder: string
  /** The address of the service, as its users have it. */
  address: URL
  /** PEM text of the authority that issues the service's certificate, once it exists. */
  authority: () => Promise<string>
  /** Sends Argo CD the forge's notification of the last push. */
  notify: () => Promise<void>
  /**
   * How many times longer than 10 minutes the first sync took, from 1 to 2.5. Limits in seconds are multiplied by it: they
   * hold on a machine that makes the first sync within 10 minutes.
   */
  slowness: number
  /** Absent where the cluster is not made of this machine's processes (kind). */
  local?: { machine: Machine; forge: Forge; charts: ChartRepositories; programs: Programs }
}

/**
 * One step of the scenario. `run` answers the measured value, and throws when the cluster does not behave. `control` shows
 * that the step can fail: it answers what was found wrong under a known fault.
 */
export type Step = { name: string; run: (context: Context) => Promise<string>; onlyLocal?: boolean }

export type Row = { name: string; seconds: number; result: 'passed' | 'FAILED' | 'not run'; value: string }

/**
 * Runs steps in order. After a failed step that `required` names, the rest is not run, because it would only fail for the
 * same reason.
 */
export async function runSteps(steps: Step[], context: Context, required: Set<string>): Promise<Row[]> {
  const rows: Row[] = []
  let broken = ''
  for (const { name, run } of steps) {
    if (broken !== '') {
      rows.push({ name, seconds: 0, result: 'not run', value: `needs: ${broken}` })
      continue
    }
    console.log(`\n-- ${name}`)
    const started = performance.now()
    const row = await run(context).then(
      (value): Row => ({ name, seconds: 0, result: 'passed', value }),
      async (error: Error): Promise<Row> => {
        console.log(`failed: ${error.message}`)
        const value = `${error.message}\n${await serviceState(context)}`
        return { name, seconds: 0, result: 'FAILED', value }
      },
    )
    row.seconds = Math.round((performance.now() - started) / 1000)
    rows.push(row)
    console.log(`${row.result}  ${name} (${row.seconds} s): ${row.value}`)
    if (row.result === 'FAILED' && required.has(name)) broken = name
  }
  return rows
}

/** The pods of the service and its last events, for a reader who has only the output of the run. */
async function serviceState({ kubernetes }: Context): Promise<string> {
  const ask = (...args: string[]) =>
    kubernetes
      .kubectl('--namespace=orders-local', '--request-timeout=10s', ...args)
      .catch((error: Error) => error.message)
  const pods = await ask('get', 'pods')
  // Oldest first, by the last time that each was seen.
  const events = await ask('events', '--no-headers')
  return `${pods}\n${events.trimEnd().split('\n').slice(-10).join('\n')}`
}

/**
 * Runs the steps whose names contain `only`, after the required ones, and prints their table. Steps that need the programs of the cluster are left out where there are none.
 */
export async function runScenario(steps: Step[], context: Context, required: Set<string>, only = ''): Promise<Row[]> {
  const possible = steps.filter(({ onlyLocal }) => onlyLocal !== true || context.local !== undefined)
  const chosen = possible.filter(({ name }) => required.has(name) || name.includes(only))
  const rows = await runSteps(chosen, context, required)
  console.log(`\n${table(rows)}`)
  return rows
}

/** The last line of a run, which `.ci/run` reads. */
export function summary(rows: Row[]): string {
  const passed = rows.filter(({ result }) => result === 'passed').length
  return `${passed} passed, ${rows.length - passed} failed`
}

/** A table of the steps for a terminal and for Markdown alike. */
export function table(rows: Row[]): string {
  const cells = [
    ['step', 'seconds', 'result', 'value'],
    ...rows.map(({ name, seconds, result, value }) => [name, `${seconds}`, result, value.split('\n')[0] ?? '']),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) =>
    `| ${row.map((cell, column) => (column < 3 ? cell.padEnd(widths[column] ?? 0) : cell)).join(' | ')} |`
  const [head = [], ...body] = cells
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|---|`, ...body.map(line)].join('\n')
}
