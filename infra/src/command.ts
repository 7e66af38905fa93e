import { execFileSync } from 'node:child_process'

/** Runs a program that shows its own output; throws an Error that names it when it fails or is not there. */
export function run(program: string, args: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): void {
  capture(program, args, { ...options, stdio: 'inherit' })
}

/** Runs a program and answers what it printed, without the last line's end. */
export function capture(
  program: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; stdio?: 'inherit' } = {},
): string {
  try {
    const output: string | null = execFileSync(program, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 2 ** 28,
      ...options,
      encoding: 'utf8',
    })
    return (output ?? '').trimEnd()
  } catch (error) {
    const { code, status } = error as { code?: string; status?: number }
    if (code === 'ENOENT') throw new Error(`${program} is not installed here: install it, then try again.`)
    throw new Error(`${program} ${args[0]} failed (${status ?? code}): see what it printed above.`)
  }
}

/** Runs the command of a script; a fault is one sentence on standard error and exit code 1. */
export async function main(command: () => void | Promise<void>): Promise<void> {
  try {
    await command()
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}
