import { type ExecFileException, execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What to say where promtool is not there. */
export const promtoolMissing = 'Checking rules needs promtool, which comes with Prometheus: apt-get install prometheus.'

/** Is promtool on PATH. */
export const hasPromtool = (): Promise<boolean> =>
  run('promtool', ['--version']).then(
    () => true,
    () => false,
  )

/** Runs promtool. Throws an Error: one sentence if it is not there, else what it says is wrong. */
export async function promtool(...args: string[]): Promise<void> {
  await run('promtool', args).catch(({ code, stdout, stderr, message }: ExecFileException) => {
    throw new Error(code === 'ENOENT' ? promtoolMissing : `${stdout ?? ''}${stderr ?? ''}`.trim() || message)
  })
}
