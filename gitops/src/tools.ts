import { readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import pins from '../tools.json' with { type: 'json' }
import { cacheFolder, execute, exists, fillOnce } from './tools/cache.ts'
import { installSchemas } from './tools/schemas.ts'

type Name = keyof typeof pins.tools
type Pin = { version: string; how: string; package: string }

const pinOf = (name: Name): Pin => pins.tools[name]
const folderOf = (name: Name) => `${name}-${pinOf(name).version}`

const installers: Record<string, (name: Name, pin: Pin) => Promise<unknown>> = {
  go: (name, pin) =>
    fillOnce(folderOf(name), async (folder) => {
      const what = `${pin.package}@v${pin.version}`
      const failed = `${name} was not built: install Go 1.26 or newer, and see that its module proxy can be reached.`
      await execute(failed, 'go', ['install', '-trimpath', what], { GOBIN: folder })
    }),
  pip: (name, pin) =>
    fillOnce(folderOf(name), async (folder) => {
      const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore', '--no-deps', '--no-compile']
      const failed = `${name} was not installed: install Python 3 with pip, and see that its registry can be reached.`
      const what = `${pin.package}==${pin.version}`
      await execute(failed, 'python3', ['-m', 'pip', 'install', ...quiet, '--target', folder, what])
    }),
  apt: async (name, pin) => {
    if ((await onPath(name)) !== undefined) return
    const failed = `${name} is missing: install Debian's package ${pin.package}.`
    await execute(failed, 'apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', pin.package], {
      DEBIAN_FRONTEND: 'noninteractive',
    })
  },
}

/** The program of a pinned tool. Throws an Error that says how to install it. */
export async function toolPath(name: Name): Promise<string> {
  const folder = join(cacheFolder, folderOf(name))
  for (const path of [join(folder, name), join(folder, 'bin', name)]) if (await exists(path)) return path
  const found = pinOf(name).how === 'apt' ? await onPath(name) : undefined
  if (found === undefined) throw new Error(`${name} ${pinOf(name).version} is missing: run npx nx run gitops:tools.`)
  return found
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (await exists(join(folder, name))) return join(folder, name)
  }
  return undefined
}

/** Installs every pinned tool that is not there yet. Throws an Error that says what the machine lacks. */
export async function installTools(say: (line: string) => void): Promise<void> {
  for (const name of Object.keys(pins.tools) as Name[]) {
    if (await toolPath(name).catch(() => undefined)) continue
    say(`${name} ${pinOf(name).version}`)
    await installers[pinOf(name).how]?.(name, pinOf(name))
  }
  await installSchemas(say)
  say(`${(await readdir(cacheFolder)).length} tools and sets of schemas are in ${cacheFolder}`)
}

if (import.meta.main) {
  try {
    await installTools(console.log)
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}
