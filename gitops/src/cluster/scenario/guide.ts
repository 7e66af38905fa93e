import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Context } from './step.ts'

const run = promisify(execFile)
// The guide waits as long for the first sync.
const mostMinutes = 30
const guide = join(import.meta.dirname, '../../../README.md')

/** The one command of gitops/README.md that begins with `start`. Throws an Error if there is none, or more than one. */
export function guideCommand(start: string, text = readFileSync(guide, 'utf8')): string {
  const commands = [...text.matchAll(/`([^`\n]+)`/g)].map(([, command = '']) => command)
  const found = [...new Set(commands.filter((command) => command.startsWith(start)))]
  const [command] = found
  if (command === undefined || found.length > 1) {
    throw new Error(`gitops/README.md has ${found.length} commands that begin with "${start}", and needs one.`)
  }
  return command
}

/**
 * Runs the command of gitops/README.md that begins with `start`, as an operator copies it into a terminal in a clone, and
 * returns its output. `instead` replaces the target or Application that the guide takes as its example.
 */
export async function followGuide(
  { fork }: Context,
  start: string,
  instead: Record<string, string> = {},
): Promise<string> {
  let command = guideCommand(start)
  for (const [example, own] of Object.entries(instead)) {
    if (!command.includes(example)) throw new Error(`The command "${command}" does not contain "${example}".`)
    command = command.replaceAll(example, own)
  }
  const options = { cwd: fork.clone, maxBuffer: 2 ** 26, timeout: mostMinutes * 60_000 }
  const { stdout } = await run('bash', ['-c', command], options).catch(
    (error: { stdout?: string; stderr?: string; message: string }) => {
      throw new Error(`${command}: ${error.stderr?.trim() || error.stdout?.trim().slice(-500) || error.message}`)
    },
  )
  return stdout
}
