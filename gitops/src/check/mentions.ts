import { readFileSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { execute } from '../tools/cache.ts'

type Text = { file: string; text: string }

/** Files that are named and are not in the repository, and why. One that nothing names fails the check. */
const elsewhere = new Map([
  ['releases/quarantine.yaml', 'The release tool writes it with the first rollback.'],
  ['test/a.test.ts', 'It stands for any test.'],
])

const marks: Record<string, RegExp> = {
  '.md': /^(.*)$/,
  '.sql': /--(.*)$/,
  '.ts': /(?:\/\/|\/\*|^\s*\*)(.*)$/,
}
const hash = /(?:^|\s)#(.*)$/
const read = new Set(['.md', '.sh', '.sql', '.tf', '.toml', '.ts', '.yaml', '.yml'])
const path = /(?<![\w/.$@{}*:<>-])(?:\.{1,2}\/)*((?:\.?[\w@-][\w.@-]*\/)+[\w.-]+\.(?:json|md|sh|sql|tf|ts|ya?ml))\b/g

/** Every text of the repository that may have comments, and the names of all files. Throws an Error without git. */
export async function readTexts(root: string): Promise<{ texts: Text[]; files: string[] }> {
  const said = await execute('The files of the repository are not known: install git.', 'git', [
    '-C',
    root,
    'ls-files',
    '-z',
  ])
  const files = said.split('\0').filter((file) => file !== '')
  const texts = files
    .filter((file) => read.has(extname(file)) && !file.includes('/test/bad/'))
    .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))
  return { texts, files }
}

/**
 * The files that comments and Markdown name by a path, and that are not there, a sentence each. A path may start at the
 * root, or at any folder above the text that names it, or be the end of one.
 */
export function missingMentions(
  texts: Text[],
  files: string[],
  allowed: ReadonlySet<string> = new Set(elsewhere.keys()),
): string[] {
  const ends = new Set(files.flatMap(endsOf))
  const folders = new Set(files.flatMap((file) => dirname(file).split('/')))
  const missing = texts.flatMap(({ file, text }) =>
    text.split('\n').flatMap((line, index) =>
      [...(commentOf(file, line).matchAll(path) ?? [])]
        .map(([, named = '']) => named)
        .filter((named) => folders.has(named.split('/')[0] ?? '') && !ends.has(named))
        .map((named) => ({ named, where: `${file}:${index + 1}` })),
    ),
  )
  return [
    ...missing
      .filter(({ named }) => !allowed.has(named))
      .map(({ named, where }) => `${where} names ${named}, which is not in the repository`),
    ...[...allowed]
      .filter((name) => !missing.some(({ named }) => named === name))
      .map((name) => `the exception for ${name} explains nothing any more: remove it`),
  ]
}

const commentOf = (file: string, line: string) => (marks[extname(file)] ?? hash).exec(line)?.[1] ?? ''

/** A path and what is left of it without its first folders. */
function endsOf(file: string): string[] {
  const parts = file.split('/')
  return parts
    .map((_, index) => parts.slice(index).join('/'))
    .filter((end) => end !== basename(file) || parts.length === 1)
}
