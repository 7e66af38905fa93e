import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { gitopsRoot } from '../../src/render.ts'
import { toolPath } from '../../src/tools.ts'

type Values = { configs: { cm: Record<string, string> } }

/** A Lua table, as Argo CD passes a resource to a health script. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(',')}}`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'nil'
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields.map(([key, field]) => `[${JSON.stringify(key)}]=${literal(field)}`).join(',')}}`
}

// Argo CD gives a health script no other libraries than these: no `string` and no `math`, and `os` by `require` alone.
const sandbox = [
  'local write = io.write',
  'getmetatable("").__index = nil',
  'package.loaded.os = { time = os.time, date = os.date }',
  'os, string, math, io, debug, coroutine = nil, nil, nil, nil, nil, nil',
]

/** The health that the installed script of a kind (`GROUP_KIND`) gives a resource. Argo CD runs Lua 5.1, as this does. */
export async function healthOf(kind: string, resource: unknown): Promise<{ status: string; message: string }> {
  const values = parse(readFileSync(join(gitopsRoot, 'platform/argocd/values.yaml'), 'utf8')) as Values
  const script = values.configs.cm[`resource.customizations.health.${kind}`]
  if (script === undefined) throw new Error(`platform/argocd/values.yaml has no health script of ${kind}`)
  const program = [
    ...sandbox,
    `local obj = ${literal(resource)}`,
    `local function check() ${script} end`,
    'local health = check()',
    'write(health.status, "\\n", health.message or "")',
  ].join('\n')
  const { stdout } = await promisify(execFile)(await toolPath('lua5.1'), ['-e', program])
  const [status = '', ...message] = stdout.split('\n')
  return { status, message: message.join('\n') }
}
