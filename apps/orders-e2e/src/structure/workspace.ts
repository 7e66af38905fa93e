import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readSource, type Source } from './source.ts'

/** A file of a project; `path` is relative to the project's folder. */
export type File = { path: string; text: string } & Source

/** A workspace project as its package.json tells it. */
export type Project = {
  folder: string
  packageName: string
  tags: string[]
  exports: string[]
  dependencies: string[]
  optionalDependencies: string[]
  devDependencies: string[]
  files: File[]
}

/** All projects below apps/ and packages/, and what every project may use in its tests. */
export type Workspace = { projects: Project[]; rootDevDependencies: string[] }

/** Where a rule is broken, and what to do. */
export type Violation = { rule: string; where: string; message: string }

const extensions = '{ts,mts,js,mjs,eta}'

/** Reads every project of the workspace in `root`. */
export function readWorkspace(root: string): Workspace {
  const projects = globSync('{apps,packages}/*/package.json', { cwd: root }).map((file) =>
    readProject(root, dirname(file)),
  )
  const { devDependencies = {} } = readJson(join(root, 'package.json'))
  return {
    projects: projects.sort((a, b) => a.folder.localeCompare(b.folder)),
    rootDevDependencies: Object.keys(devDependencies),
  }
}

function readProject(root: string, folder: string): Project {
  const about = readJson(join(root, folder, 'package.json'))
  const paths = globSync(`**/*.${extensions}`, {
    cwd: join(root, folder),
    exclude: (name) => ['node_modules', '.tap', 'coverage'].includes(name),
  })
  return {
    folder,
    packageName: about.name,
    tags: about.nx?.tags ?? [],
    exports: Object.keys(about.exports ?? {}),
    dependencies: Object.keys(about.dependencies ?? {}),
    optionalDependencies: Object.keys({ ...about.optionalDependencies, ...about.peerDependencies }),
    devDependencies: Object.keys(about.devDependencies ?? {}),
    files: paths.sort().map((path) => {
      const text = readFileSync(join(root, folder, path), 'utf8')
      return { path, text, ...(path.endsWith('.eta') ? { imports: [], code: '' } : readSource(text)) }
    }),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a package.json is whatever its author wrote
function readJson(file: string): any {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}
