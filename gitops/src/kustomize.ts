import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What to say where neither tool is there, or is too old. */
export const kustomizeMissing =
  'Rendering needs kustomize 5 or newer, or kubectl 1.30 or newer: install one of them and put it on PATH.'

type Tool = {
  name: string
  build: (folder: string) => string[]
  version: string[]
  newEnough: (said: string) => boolean
}

const tools: Tool[] = [
  {
    name: 'kustomize',
    build: (folder) => ['build', folder],
    version: ['version'],
    newEnough: (said) => atLeast(said, 5, 0),
  },
  {
    name: 'kubectl',
    build: (folder) => ['kustomize', folder],
    version: ['version', '--client'],
    newEnough: (said) => atLeast(said, 1, 30),
  },
]

let found: Promise<Tool | undefined> | undefined

/** Is there a tool that can render. */
export async function canRender(): Promise<boolean> {
  found ??= findTool()
  return (await found) !== undefined
}

/** The documents of a kustomization as YAML. Throws an Error: one sentence, or what the tool says is wrong. */
export async function build(folder: string): Promise<string> {
  found ??= findTool()
  const tool = await found
  if (tool === undefined) throw new Error(kustomizeMissing)
  try {
    const { stdout } = await run(tool.name, tool.build(folder), { maxBuffer: 64 * 1024 * 1024 })
    return stdout
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim()
    throw new Error(`${folder} cannot be rendered: ${said || (error as Error).message}`)
  }
}

async function findTool(): Promise<Tool | undefined> {
  for (const tool of tools) {
    const said = await run(tool.name, tool.version).catch(() => undefined)
    if (said && tool.newEnough(said.stdout)) return tool
  }
  return undefined
}

function atLeast(said: string, major: number, minor: number): boolean {
  const [, x = '0', y = '0'] = /v(\d+)\.(\d+)/.exec(said) ?? []
  return Number(x) > major || (Number(x) === major && Number(y) >= minor)
}
