import { execFile } from 'node:child_process'
import { Refusal } from './refusal.ts'

/** What one run of git left behind. `code` is 128 or more when git itself gave up. */
export type GitResult = { code: number; stdout: Buffer; stderr: string }

// The messages are read, so they are in one language; nobody is there to type a password; what a hook of a surrounding
// git command exports would point every command here at the wrong repository.
const { GIT_DIR: _dir, GIT_WORK_TREE: _tree, GIT_INDEX_FILE: _index, ...inherited } = process.env
const environment = { ...inherited, LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' }

// No clean-up in the background: it would outlive the command and hold locks that another one waits for.
const settings = ['-c', 'gc.auto=0', '-c', 'maintenance.auto=false', '-c', 'core.quotePath=false']

const longest = 120_000
const largest = 256 * 1024 * 1024

/** Runs git in `folder` and answers with whatever it said; throws only when git cannot be started. */
export function tryGit(folder: string, args: string[], options: GitOptions = {}): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      'git',
      [...settings, ...args],
      {
        cwd: folder,
        env: { ...environment, ...options.env },
        encoding: 'buffer',
        timeout: longest,
        maxBuffer: largest,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code
        if (code === 'ENOENT') return reject(new Refusal('git cannot be started: install git 2.30 or newer'))
        if (typeof code === 'string') return reject(error)
        resolve({ code: code ?? 128, stdout, stderr: stderr.toString().trim() })
      },
    )
    // git may end without having read everything; what it says then is worth more than the broken pipe.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
  })
}

export type GitOptions = { input?: string; env?: Record<string, string> }

/** Runs git in `folder` and answers with its output, without the last line end; throws what git said when it failed. */
export async function git(folder: string, args: string[], options: GitOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await tryGit(folder, args, options)
  if (code !== 0) throw new Error(`git ${args[0]} ended with ${code}: ${lastLine(stderr)}`)
  return stdout.toString().trimEnd()
}

/** The line in which git says what went wrong. */
export function lastLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  return (
    lines.find((line) => /^(?:fatal|error):/.test(line))?.replace(/^\w+: /, '') ?? lines.at(-1) ?? 'no reason given'
  )
}
