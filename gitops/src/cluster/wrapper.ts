import type { ModulePin } from './pins.ts'

type Module = { Path: string; Version?: string }

/** What `go mod edit -json` prints. */
export type GoMod = {
  Go?: string
  Require?: Module[] | null
  Replace?: { Old: Module; New: Module }[] | null
  Exclude?: Module[] | null
}

/** Where a module that the pin patches is copied to, below the folder of the wrapper. */
export const patchedFolder = 'patched'

/**
 * The go.mod of a module that builds programs of the pinned module. Go ignores `replace` directives of dependencies,
 * so `go install module@version` refuses such modules; this module repeats the directives as its own.
 * Throws an Error that names a replacement by a folder for which the pin has no published version.
 */
export function wrapperModule(pin: ModulePin, goMod: GoMod): string {
  const required = { ...Object.fromEntries((goMod.Require ?? []).map(({ Path, Version }) => [Path, Version])) }
  for (const [path, version] of Object.entries(pin.require ?? {})) required[path] = `v${version}`
  if (pin.module !== undefined) required[pin.module] = `v${pin.version}`
  return [
    // A module below the pinned one may import the internal packages of the pinned one.
    `module ${pin.module === undefined ? 'orders' : `${pin.module.replace(/\/v\d+$/, '')}/orders`}`,
    `go ${goMod.Go ?? '1.26.0'}`,
    ...Object.entries(required).map(([path, version]) => `require ${path} ${version}`),
    ...(goMod.Exclude ?? []).map(({ Path, Version }) => `exclude ${Path} ${Version}`),
    ...(goMod.Replace ?? []).map(({ Old, New }) => `replace ${withVersion(Old)} => ${published(pin, Old, New)}`),
    ...Object.entries(pin.replace ?? {})
      .filter(([, target]) => target.includes(' '))
      .map(([path, target]) => `replace ${path} => ${target}`),
    ...(pin.patches === undefined ? [] : [`replace ${pin.module} => ./${patchedFolder}`]),
    '',
  ].join('\n')
}

const withVersion = ({ Path, Version }: Module) => (Version === undefined ? Path : `${Path} ${Version}`)

function published(pin: ModulePin, from: Module, to: Module): string {
  if (!to.Path.startsWith('.')) return withVersion(to)
  for (const [pattern, version] of Object.entries(pin.replace ?? {})) {
    const matches = pattern.endsWith('/*') ? from.Path.startsWith(pattern.slice(0, -1)) : from.Path === pattern
    if (matches) return `${from.Path} v${version}`
  }
  throw new Error(`${pin.module} replaces ${from.Path} by its folder ${to.Path}: pin a published version of it.`)
}
