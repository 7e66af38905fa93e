/** Builds the programs that cluster.json pins from the Go module proxy, once per version, into the cache. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { cacheFolder, execute, exists, fillOnce } from '../tools/cache.ts'
import {
  goFolder,
  linkerFlags,
  type ModulePin,
  moduleOf,
  ownSource,
  pinOf,
  programFolder,
  programNames,
  versionOf,
} from './pins.ts'
import { type GoMod, patchedFolder, wrapperModule } from './wrapper.ts'

// The vendor folder, the workspace and the flags of the machine must not change a build.
const goEnvironment = { CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOTOOLCHAIN: 'local', GOWORK: 'off' }

const go = (failed: string, folder: string, args: string[]) =>
  execute(`${failed} Go 1.26.8 or newer and its module proxy are needed.`, 'go', ['-C', folder, ...args], goEnvironment)

/** The path of a built program. Throws an Error that says how to build it. */
export async function program(name: string): Promise<string> {
  const path = join(cacheFolder, programFolder(name), name)
  if (!(await exists(path))) throw new Error(`${name} ${versionOf(name)} is missing: run npx nx run gitops:programs.`)
  return path
}

/** The programs whose modules contain charts, manifests or scripts that the cluster uses. */
const withSources = [
  ...['argocd', 'cert-manager', 'cloudnative-pg', 'envoy-gateway', 'external-secrets', 'keda', 'kyverno'],
  ...['metrics-server', 'prometheus-operator', 'rollouts-controller'],
] as const

export type ProgramWithSources = (typeof withSources)[number]

/** Downloads the sources that the cluster uses, because it reaches no module proxy; the cache may have all programs. */
export async function downloadSources(): Promise<void> {
  for (const name of withSources) await sourceFolder(name)
}

/** The extracted sources of the module of a program. */
export async function sourceFolder(name: ProgramWithSources): Promise<string> {
  const { module, version } = moduleOf(name)
  if (module === undefined) throw new Error(`${name} is a program of this project.`)
  return download(module, version)
}

/** Builds each of these programs that the cache lacks. Throws an Error that names the program and states why it failed. */
export async function installPrograms(say: (line: string) => void, names: string[]): Promise<void> {
  for (const name of names) {
    if (await exists(join(cacheFolder, programFolder(name)))) continue
    const started = performance.now()
    await build(name)
    say(`${name} ${versionOf(name)}: built in ${Math.round((performance.now() - started) / 1000)} s`)
  }
}

async function build(name: string): Promise<void> {
  const pin = pinOf(name)
  const folder = await wrapper(pin)
  const own = ownSource(pin, name)
  if (own !== undefined) await copyAnew(own, join(folder, basename(own)))
  await fillOnce(programFolder(name), async (to) => {
    const tags = `-tags=${pin.tags?.join() ?? ''}`
    // The linker drops the debug information: not making it takes 11 % less CPU.
    const flags = ['-mod=mod', '-trimpath', tags, '-gcflags=all=-dwarf=false', '-ldflags', linkerFlags(pin)]
    const failed = `${name} ${versionOf(name)} was not built.`
    await go(failed, folder, ['build', ...flags, '-o', join(to, name), pin.packages[name] ?? ''])
  })
}

/** The folder of the module that builds the packages of a pin; they share it, so that Go compiles packages once. */
async function wrapper(pin: ModulePin): Promise<string> {
  const name = (pin.module ?? 'own').replaceAll('/', '-')
  const recipe = programFolder(Object.keys(pin.packages)[0] ?? '').slice(-8)
  return fillOnce(`wrappers/${name}-${pin.version}-${recipe}`, async (folder) => {
    const sources = pin.module === undefined ? undefined : await download(pin.module, pin.version)
    await mkdir(folder, { recursive: true })
    const goMod: GoMod = sources === undefined ? {} : JSON.parse(await readGoMod(sources))
    await writeFile(join(folder, 'go.mod'), wrapperModule(pin, goMod))
    if (sources === undefined) return
    await writeFile(join(folder, 'go.sum'), await checksums(pin))
    if (pin.patches !== undefined) await patch(sources, pin.patches, join(folder, patchedFolder))
  })
}

/** The go.sum of the pinned module and of those that it adds. */
async function checksums({ module, version, require = {} }: ModulePin): Promise<string> {
  const lines = new Set<string>()
  for (const [path, at] of Object.entries({ ...(module && { [module]: version }), ...require })) {
    const file = join(await download(path, at), 'go.sum')
    if (await exists(file)) for (const line of (await readFile(file, 'utf8')).split('\n')) lines.add(line)
  }
  return [...lines].join('\n')
}

/** Go refuses to overlay files of its module cache, so a patched module is a copy. */
async function patch(sources: string, patches: Record<string, string>, to: string): Promise<void> {
  await cp(sources, to, { recursive: true })
  await execute(`${to} is not writable.`, 'chmod', ['-R', 'u+w', to])
  for (const [file, own] of Object.entries(patches)) await cp(join(goFolder, own), join(to, file))
}

const readGoMod = (sources: string) => go('A go.mod cannot be read.', sources, ['mod', 'edit', '-json'])

async function copyAnew(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await cp(from, to, { recursive: true })
}

/** Answers the folder of a module. */
async function download(module: string, version: string): Promise<string> {
  await mkdir(cacheFolder, { recursive: true })
  const failed = `${module} ${version} was not downloaded.`
  const answer = await go(failed, cacheFolder, ['mod', 'download', '-json', `${module}@v${version}`])
  return JSON.parse(answer).Dir
}

if (import.meta.main) {
  try {
    const names = process.argv.slice(2)
    await installPrograms(console.log, names.length > 0 ? names : programNames(false))
    console.log(`${(await readdir(join(cacheFolder, 'programs'))).length} programs are in ${cacheFolder}/programs`)
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}
