import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { declarations, guardExpressions } from './guard-expressions.ts'
import type { Project, Violation } from './workspace.ts'

/** Sources and fixtures. Tests are left to Biome: tap waits for the promise of each subtest. */
const checked = /^(?:src|migrations|testing)\/.*\.ts$/
const message = 'drops a promise: await it, or handle its rejection with .catch(); `void` handles nothing'

/**
 * Finds every promise whose rejection no code handles. Biome's noFloatingPromises accepts `void`, and misses types that it
 * cannot infer. Here the compiler decides, on a copy of the projects in which each dropped value is an argument of a
 * function that accepts no promise.
 */
export function findFloatingPromises(root: string, projects: Project[]): Violation[] {
  const copy = mkdtempSync(join(realpathSync(tmpdir()), 'orders-promises-'))
  try {
    cpSync(join(root, 'tsconfig.base.json'), join(copy, 'tsconfig.base.json'))
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    for (const project of projects) copyGuarded(root, copy, project)
    return projects.flatMap(({ folder }) => compile(root, copy, folder))
  } finally {
    rmSync(copy, { recursive: true })
  }
}

function copyGuarded(root: string, copy: string, { folder, files }: Project): void {
  mkdirSync(join(copy, folder), { recursive: true })
  for (const name of ['package.json', 'tsconfig.json']) cpSync(join(root, folder, name), join(copy, folder, name))
  const modules = join(root, folder, 'node_modules')
  if (existsSync(modules)) symlinkSync(modules, join(copy, folder, 'node_modules'))
  for (const { path, text } of files.filter(({ path }) => checked.test(path))) {
    const target = join(copy, folder, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, guardExpressions(text))
  }
  writeFileSync(join(copy, folder, 'guard.d.ts'), declarations)
}

function compile(root: string, copy: string, folder: string): Violation[] {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  // The loaders of a test runner break the compiler.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, tsc, '-p', '.', '--pretty', 'false']
  const { stdout, stderr, status } = spawnSync('env', command, {
    cwd: join(copy, folder),
    encoding: 'utf8',
  })
  if (status !== 0 && stdout === '') throw new Error(`the compiler did not run in ${folder}: ${stderr}`)
  return stdout.split('\n').flatMap((line) => {
    const [, file, at] = /^([^\s(]+)\((\d+),\d+\): .*\{ floating: never; \}/.exec(line) ?? []
    return file === undefined ? [] : [{ rule: 'floating-promise', where: `${folder}/${file}:${at}`, message }]
  })
}
