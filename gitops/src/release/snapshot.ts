import { git, tryGit } from './git.ts'

/** The tree and the history of one commit, read without a working tree. */
export class Snapshot {
  readonly folder: string
  readonly commit: string
  readonly #texts = new Map<string, string | undefined>()

  constructor(folder: string, commit: string) {
    this.folder = folder
    this.commit = commit
  }

  /** The text of a file, or undefined where there is none. */
  async read(path: string): Promise<string | undefined> {
    if (!this.#texts.has(path)) {
      const [text] = await readObjects(this.folder, [`${this.commit}:${path}`])
      this.#texts.set(path, text)
    }
    return this.#texts.get(path)
  }

  /** Whether a commit is this one or one that it came from; false for a commit that the repository does not have. */
  async contains(commit: string): Promise<boolean> {
    return isAncestor(this.folder, commit, this.commit)
  }

  /** Whether `older` is `newer` or one that it came from; false where the repository lacks one of them. */
  async isAncestor(older: string, newer: string): Promise<boolean> {
    return isAncestor(this.folder, older, newer)
  }

  /**
   * What stood in a file, newest first: the commit that brought it here and the text. At most `limit` versions. What only
   * stood in a branch that was merged later never counted.
   */
  async versions(path: string, limit = 200): Promise<{ commit: string; text: string }[]> {
    const list = await git(this.folder, [
      'log',
      '--first-parent',
      '--format=%H',
      `--max-count=${limit}`,
      this.commit,
      '--',
      path,
    ])
    const commits = list.split('\n').filter((line) => line !== '')
    const texts = await readObjects(
      this.folder,
      commits.map((commit) => `${commit}:${path}`),
    )
    return commits.flatMap((commit, index) => {
      const text = texts[index]
      return text === undefined ? [] : [{ commit, text }]
    })
  }
}

/** Whether `older` is `newer` or one that it came from; false where the repository lacks one of them. */
export async function isAncestor(folder: string, older: string, newer: string): Promise<boolean> {
  const { code } = await tryGit(folder, ['merge-base', '--is-ancestor', older, newer])
  return code === 0
}

/** The text of each object, or undefined where there is none: one process, however many are asked for. */
async function readObjects(folder: string, names: string[]): Promise<(string | undefined)[]> {
  const { stdout } = await tryGit(folder, ['cat-file', '--batch'], { input: names.map((name) => `${name}\n`).join('') })
  let at = 0
  return names.map(() => {
    const end = stdout.indexOf('\n', at)
    const [, type, size] = stdout.toString('utf8', at, end).split(' ')
    at = end + 1
    if (type !== 'blob') return undefined
    const text = stdout.toString('utf8', at, at + Number(size))
    at += Number(size) + 1
    return text
  })
}
