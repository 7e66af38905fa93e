import { explainDatabaseError } from './errors.ts'

/** Runs a command to its end; a fault is one sentence on standard error and exit code 1. */
export async function runCommand(command: () => Promise<void>): Promise<void> {
  try {
    await command()
  } catch (error) {
    console.error(explainDatabaseError(error) ?? (error as Error).message)
    process.exitCode = 1
  }
}
