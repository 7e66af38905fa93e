import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pins from '../../cluster.json' with { type: 'json' }

/** A Go module and the programs to build from it. `$version`, `$minor` and `$patch` stand for parts of the version. */
export type ModulePin = {
  /** Absent when every package is in the folder `go`. */
  module?: string
  version: string
  /** Published versions of modules that the module replaces by its own folders; `prefix/*` covers many. */
  replace?: Record<string, string>
  /** Modules to add, whose packages can then be built too. */
  require?: Record<string, string>
  /** File of the module -> file below the folder `go` to build in its place. */
  patches?: Record<string, string>
  ldflags?: string
  /** Program name -> import path, or `./folder` below the folder `go`. */
  packages: Record<string, string>
}

export const goFolder = join(import.meta.dirname, 'go')

function expand(pin: ModulePin): ModulePin {
  const [, minor = '', patch = ''] = pin.version.split('.')
  const text = JSON.stringify(pin)
  return JSON.parse(text.replaceAll('$version', pin.version).replaceAll('$minor', minor).replaceAll('$patch', patch))
}

export const modulePins: ModulePin[] = (pins.programs as ModulePin[]).map(expand)

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

/** The version of a program, of its own module where the pin adds one. */
export function versionOf(program: string): string {
  const pin = pinOf(program)
  const path = pin.packages[program] ?? ''
  const added = Object.entries(pin.require ?? {}).find(([module]) => path === module || path.startsWith(`${module}/`))
  return added?.[1] ?? pin.version
}

/** The cache folder of a program. Its name changes with the version, the recipe and the project's own source. */
export function programFolder(program: string): string {
  const { packages, ...recipe } = pinOf(program)
  const hash = createHash('sha256').update(JSON.stringify([recipe, packages[program]]))
  for (const file of ownFiles(program)) hash.update(readFileSync(file))
  return `programs/${program}-${versionOf(program)}-${hash.digest('hex').slice(0, 8)}`
}
