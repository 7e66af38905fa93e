import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CurlLine } from './parse.ts'

const run = promisify(execFile)
const withinMs = 60_000

/**
 * What is wrong with the answers to the lines of a block, if anything. They run as they stand, in one shell; a settings
 * file of curl's own makes a request print the status below the answer.
 */
export async function checkCurls(lines: CurlLine[], folder = process.cwd()): Promise<string[]> {
  const home = mkdtempSync(join(tmpdir(), 'curl-'))
  writeFileSync(join(home, '.curlrc'), 'silent\nshow-error\nmax-time = 10\nwrite-out = "\\n%{http_code}"\n')
  const end = randomUUID()
  const asRun = ({ command, answer }: CurlLine) =>
    answer ? `CURL_HOME='${home}' ${command} 2>&1\nprintf '\\n${end}\\n'` : command
  const { stdout, stderr } = await run('sh', ['-c', lines.map(asRun).join('\n')], { timeout: withinMs, cwd: folder })
  rmSync(home, { recursive: true })

  const answers = stdout.split(`\n${end}\n`)
  const requests = lines.flatMap(({ command, answer }) => (answer ? [{ command, ...answer }] : []))
  const faults = requests.flatMap(({ command, status, contains }, index) => {
    const [, body = '', got = ''] = /^([\s\S]*)\n(\d{3})$/.exec(answers[index] ?? '') ?? []
    console.log(`  ${got} ${command}`)
    if (Number(got) !== status) return [`${command} answered ${got}, not ${status}: ${answers[index]?.slice(0, 500)}`]
    return body.includes(contains) ? [] : [`${command} answered without ${contains}: ${body.slice(0, 500)}`]
  })
  return stderr === '' ? faults : [...faults, `the shell says: ${stderr}`]
}
