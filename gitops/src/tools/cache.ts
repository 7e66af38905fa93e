import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where tools and schemas are kept, outside the repository: they outlive a clone. */
export const cacheFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'orders-tools')

/** Is there a file or a folder. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/**
 * Runs a program and answers its standard output. Throws an Error that starts with `failed`, a sentence on what to do,
 * and ends with what the program said.
 */
export async function execute(failed: string, program: string, args: string[], env = {}): Promise<string> {
  try {
    const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 }
    return (await run(program, args, options)).stdout
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string }
    throw new Error(`${failed}\n${`${stdout}${stderr}`.trim() || message}`)
  }
}

/**
 * Fills a folder of the cache once. It appears whole or not at all, so that two runs at a time, or one that is ended,
 * leave nothing half done.
 */
export async function fillOnce(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder, name)
  if (await exists(folder)) return folder
  await mkdir(dirname(folder), { recursive: true })
  const draft = await mkdtemp(join(dirname(folder), '.draft-'))
  try {
    await fill(draft)
    await rename(draft, folder).catch(async (error: NodeJS.ErrnoException) => {
      if (!(await exists(folder))) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return folder
}
