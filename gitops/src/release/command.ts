import { parseArgs } from 'node:util'
import { adopt } from './adopt.ts'
import { bump } from './bump.ts'
import { diff } from './diff.ts'
import { report } from './diff-report.ts'
import { environment } from './environments.ts'
import { tryGit } from './git.ts'
import { promote } from './promote.ts'
import type { Place } from './publish.ts'
import { Refusal } from './refusal.ts'
import { readCommit, readImage } from './release-file.ts'
import { release, rollback } from './rollback.ts'
import { status, table } from './status.ts'

const usage = `Says in Git what runs where; Argo CD does the rest. Usage: nx run gitops:COMMAND OPTIONS

  bump      --env E --image NAME@sha256:... [--image ...] --commit SHA
  promote   --from E --to F [--commit SHA]       only if E still asks for SHA
  rollback  --env E [--to SHA] [--reason TEXT]   quarantines what E leaves
  rollback  --release SHA|sha256:...             takes it out of quarantine
  status    [--json]
  adopt     --repo URL --registry HOST/OWNER --domain D
  diff      --base REF                           what the working tree changes in the clusters, as Markdown

  --remote R        the repository to write to, origin by default
  --branch B        the branch that Argo CD follows, main by default
  --request B       push to branch B instead, for a pull request

Ends with 0 when it is done or was so already, and with 1 when it refuses; then nothing is written.`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const common = { remote: text, branch: text, request: text }

const options = {
  bump: { env: text, image: { type: 'string', multiple: true }, commit: text },
  promote: { from: text, to: text, commit: text },
  rollback: { env: text, to: text, reason: text, release: text },
  status: { json: flag },
  adopt: { repo: text, registry: text, domain: text },
  diff: { base: text },
} as const

type Command = keyof typeof options
type Values = Record<string, string | boolean | (string | boolean)[] | undefined>

const commands: Record<Command, (values: Values, place: Place) => Promise<string>> = {
  bump: async (values, place) => {
    if (!Array.isArray(values.image)) throw new Refusal('bump needs --image: give the image as NAME@sha256:...')
    const images = values.image.map((reference) => readImage(String(reference)))
    const candidate = { commit: readCommit(need(values, 'bump', 'commit')), images }
    return bump(place, environment(need(values, 'bump', 'env')), candidate)
  },
  promote: async (values, place) => {
    const [from, to] = (['from', 'to'] as const).map((name) => environment(need(values, 'promote', name)))
    const expected = one(values, 'commit')
    if (from === undefined || to === undefined)
      throw new Refusal('promote needs --from and --to: give two environments')
    return promote(place, from, to, expected === undefined ? undefined : readCommit(expected))
  },
  rollback: async (values, place) => {
    const what = one(values, 'release')
    if (what === undefined) {
      return rollback(place, environment(need(values, 'rollback', 'env')), {
        to: one(values, 'to'),
        reason: one(values, 'reason'),
      })
    }
    if (one(values, 'env') ?? one(values, 'to')) throw new Refusal('--release stands alone: leave --env and --to out')
    return release(place, what)
  },
  status: async (values, place) => {
    const list = await status(place)
    return values.json === true ? JSON.stringify(list, undefined, 2) : table(list)
  },
  diff: async (values, { folder }) => {
    const base = need(values, 'diff', 'base')
    return report(await diff(folder, base), base).trimEnd()
  },
  adopt: async (values, place) =>
    adopt(place, {
      repository: need(values, 'adopt', 'repo'),
      registry: need(values, 'adopt', 'registry'),
      domain: need(values, 'adopt', 'domain'),
    }),
}

function one(values: Values, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

function need(values: Values, command: Command, name: string): string {
  const value = one(values, name)
  if (value === undefined || value === '') throw new Refusal(`${command} needs --${name}: see --help`)
  return value
}

function isCommand(name: string | undefined): name is Command {
  return name !== undefined && Object.hasOwn(options, name)
}

/** Runs one command of the release tool in a clone and answers with what to print. Throws a Refusal: one sentence. */
export async function run([command, ...args]: string[], clone: string): Promise<string> {
  if (command === '--help' || args.includes('--help')) return usage
  if (!isCommand(command)) throw new Refusal(`${command ?? 'nothing'} is not a command: see --help`)
  const { values } = readArguments(args, { ...common, ...options[command] })
  const { code, stdout } = await tryGit(clone, ['rev-parse', '--show-toplevel'])
  if (code !== 0) throw new Refusal('this is not a clone of the repository: change into one')
  const folder = stdout.toString().trimEnd()
  const branch = one(values, 'branch') ?? 'main'
  const request = one(values, 'request')
  for (const name of [branch, request ?? branch]) {
    if (!/^\w[\w./-]*$/.test(name)) throw new Refusal(`${name} is not a branch: give its name without refs/heads/`)
  }
  if (request === branch) throw new Refusal(`--request ${branch} would overwrite ${branch}: name a branch of its own`)
  return commands[command](values, { folder, remote: one(values, 'remote') ?? 'origin', branch, request })
}

function readArguments(args: string[], known: NonNullable<Parameters<typeof parseArgs>[0]>['options'] & object) {
  try {
    return parseArgs({ args, options: known })
  } catch (error) {
    const [said = ''] = (error as Error).message.split(/[.\n]/)
    throw new Refusal(`${said}: see --help`)
  }
}
