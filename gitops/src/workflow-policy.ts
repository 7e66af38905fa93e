import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parse } from 'yaml'
import { rules } from './workflow-rules.ts'

type Mapping = Record<string, unknown>

export type Step = {
  name?: string
  uses?: string
  run?: string
  shell?: string
  with?: Mapping
  'continue-on-error'?: unknown
}

export type Job = {
  name: string
  if?: unknown
  uses?: string
  secrets?: unknown
  environment?: unknown
  concurrency?: unknown
  permissions?: unknown
  container?: unknown
  services?: Record<string, unknown>
  steps: Step[]
  'runs-on'?: unknown
  'timeout-minutes'?: unknown
  'continue-on-error'?: unknown
}

export type Workflow = {
  file: string
  text: string
  on: Record<string, unknown>
  permissions?: unknown
  concurrency?: unknown
  env?: unknown
  defaults?: { run?: { shell?: unknown } }
  jobs: Job[]
}

/** What a rule holds against a workflow; `where` names the job and the step. */
export type Finding = { file: string; rule: string; where: string; says: string }

/** Reads a workflow; its events become the keys of `on`. Throws an Error for what is not one. */
export function readWorkflow(path: string): Workflow {
  const text = readFileSync(path, 'utf8')
  const file = basename(path)
  const { on, jobs, ...rest } = (parse(text) ?? {}) as { on?: unknown; jobs?: Record<string, Mapping> }
  if (on === undefined || jobs === undefined) throw new Error(`${file} is not a workflow: it has no on, or no jobs.`)
  return {
    ...rest,
    file,
    text,
    on: events(on),
    jobs: Object.entries(jobs).map(([name, job]) => ({ steps: [], ...job, name }) as Job),
  }
}

function events(on: unknown): Record<string, unknown> {
  if (typeof on === 'string') return { [on]: null }
  if (Array.isArray(on)) return Object.fromEntries(on.map((event) => [event, null]))
  return on as Record<string, unknown>
}

/** Everything that the rules hold against these workflows, in their order. */
export function judge(workflows: Workflow[]): Finding[] {
  return workflows.flatMap((workflow) =>
    Object.entries(rules).flatMap(([rule, look]) =>
      look(workflow, workflows).map(([where, says]) => ({ file: workflow.file, rule, where, says })),
    ),
  )
}

/** One line for a terminal. */
export const describe = ({ file, rule, where, says }: Finding) => `${file}: ${where}: ${says} (${rule})`
