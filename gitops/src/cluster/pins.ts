import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pins from '../../cluster.json' with { type: 'json' }

/**
 * Go modules whose programs are built together, so that Go compiles a package of theirs once. Where two of them need a
 * library in different versions, Go takes the newer one. Pins that require the same modules share packages too.
 */
export type ModulePin = {
  /** Absent when every package is in the folder `go`. */
  module?: string
  version: string
  /** Modules to add: path -> version. */
  require?: Record<string, string>
  /** Replacements that the module makes by folders of its own, or that added modules make; `prefix/*` covers many. */
  replace?: Record<string, string>
  /** File of the module -> file below the folder `go` to build in its place. */
  patches?: Record<string, string>
  /** Build constraints that hold. */
  tags?: string[]
  /** Go variable -> value. `$version`, `$minor` and `$patch` stand for the version of the variable's module. */
  variables?: Record<string, string>
  /** Program name -> import path, or `./folder` below the folder `go`. */
  packages: Record<string, string>
}

export const goFolder = join(import.meta.dirname, 'go')

function expand(template: string, version: string): string {
  const [, minor = '', patch = ''] = version.split('.')
  return template.replaceAll('$version', version).replaceAll('$minor', minor).replaceAll('$patch', patch)
}

export const modulePins: ModulePin[] = (pins.programs as ModulePin[]).map((pin) => ({
  ...pin,
  replace: Object.fromEntries(
    Object.entries(pin.replace ?? {}).map(([path, version]) => [path, expand(version, pin.version)]),
  ),
}))

/** The programs that no step of a short run uses. */
const ofOtherSteps = /-next$|^prometheus/

/** The names of the programs that all steps use, or those of a short run. */
export const programNames = (short: boolean): string[] =>
  modulePins.flatMap(({ packages }) => Object.keys(packages)).filter((name) => !(short && ofOtherSteps.test(name)))

/** The pin of the module that a program is built from. Throws an Error for an unknown name. */
export function pinOf(program: string): ModulePin {
  const pin = modulePins.find(({ packages }) => packages[program] !== undefined)
  if (pin === undefined) throw new Error(`cluster.json has no program ${program}.`)
  return pin
}

/** The folder with the project's own source of a program, if its package is one. */
export function ownSource(pin: ModulePin, program: string): string | undefined {
  const path = pin.packages[program]
  return path?.startsWith('./') ? join(goFolder, path) : undefined
}

function ownFiles(program: string): string[] {
  const pin = pinOf(program)
  const patches = Object.values(pin.patches ?? {}).map((file) => join(goFolder, file))
  const own = ownSource(pin, program)
  return own === undefined
    ? patches
    : [
        ...patches,
        ...readdirSync(own)
          .sort()
          .map((file) => join(own, file)),
      ]
}

/** The module that has an import path: an added one, or the pinned one. */
function moduleAt(pin: ModulePin, path: string): { module: string | undefined; version: string } {
  const isIn = (module: string) => path === module || path.startsWith(`${module}/`)
  const added = Object.entries(pin.require ?? {}).find(([module]) => isIn(module))
  return added === undefined ? { module: pin.module, version: pin.version } : { module: added[0], version: added[1] }
}

/** The module of a program, and its version. */
export function moduleOf(program: string): { module: string | undefined; version: string } {
  const pin = pinOf(program)
  return moduleAt(pin, pin.packages[program] ?? '')
}

/** The version of a program. */
export const versionOf = (program: string): string => moduleOf(program).version

/** Options of the linker that set the variables of a pin. */
export const linkerFlags = (pin: ModulePin): string =>
  [
    '-s -w',
    ...Object.entries(pin.variables ?? {}).map(
      ([name, value]) => `-X ${name}=${expand(value, moduleAt(pin, name).version)}`,
    ),
  ].join(' ')

/** The cache folder of a program. Its name changes with the version, the recipe and the project's own source. */
export function programFolder(program: string): string {
  const { packages, ...recipe } = pinOf(program)
  const hash = createHash('sha256').update(JSON.stringify([recipe, packages[program]]))
  for (const file of ownFiles(program)) hash.update(readFileSync(file))
  return `programs/${program}-${versionOf(program)}-${hash.digest('hex').slice(0, 8)}`
}
