import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import type { Import } from './source.ts'
import type { File, Project, Violation, Workspace } from './workspace.ts'

/** Who may import whom, by the `role:` tag in each package.json. A role that is not listed here fails. */
const mayImport: Record<string, string[]> = {
  'role:process': ['role:business', 'role:storage', 'role:contract', 'role:platform'],
  'role:business': ['role:storage', 'role:contract'],
  'role:storage': [],
  'role:contract': [],
  'role:platform': [],
  'role:check': ['role:contract'],
}

/** Whose fixtures (`./testing`) the tests of a project may use besides: they start what the tests then break. */
const mayTestWith: Record<string, string[]> = { 'role:check': ['role:storage'] }

type Use = { project: Project; file: File; import: Import; where: string }

/** Every way in which an import or a dependency breaks the layout. */
export function checkImports(workspace: Workspace): Violation[] {
  const uses = workspace.projects.flatMap((project) =>
    project.files.flatMap((file) =>
      file.imports.map((it) => ({ project, file, import: it, where: `${project.folder}/${file.path}:${it.line}` })),
    ),
  )
  return [
    ...workspace.projects.flatMap(roleKnown),
    ...workspace.projects.flatMap((project) => dependencyDirections(workspace, project)),
    ...workspace.projects.flatMap(unusedDependencies),
    ...uses.flatMap((use) => (use.import.specifier.startsWith('.') ? relative(use) : byName(workspace, use))),
  ]
}

function roleKnown(project: Project): Violation[] {
  if (hasRole(project)) return []
  const message = `has no role: tag it with one of ${Object.keys(mayImport).join(', ')}`
  return [{ rule: 'role', where: `${project.folder}/package.json`, message }]
}

function hasRole({ tags }: Project): boolean {
  const roles = tags.filter((tag) => tag.startsWith('role:'))
  return roles.length === 1 && roles.every((role) => role in mayImport)
}

function dependencyDirections(workspace: Workspace, project: Project): Violation[] {
  const { dependencies, optionalDependencies, devDependencies } = project
  const where = `${project.folder}/package.json`
  const targets = (names: string[]) => workspace.projects.filter(({ packageName }) => names.includes(packageName))
  return [
    ...targets([...dependencies, ...optionalDependencies]).flatMap((target) => direction(project, target, where)),
    ...targets(devDependencies)
      .filter((target) => !testsWith(project, target))
      .flatMap((target) => direction(project, target, where)),
  ]
}

function testsWith(from: Project, to: Project): boolean {
  return from.tags.some((tag) => mayTestWith[tag]?.some((role) => to.tags.includes(role)))
}

function direction(from: Project, to: Project, where: string): Violation[] {
  const allowed = from.tags.flatMap((tag) => mayImport[tag] ?? [])
  // A project without a known role breaks a rule of its own.
  if (from === to || ![from, to].every(hasRole) || to.tags.some((tag) => allowed.includes(tag))) return []
  return [{ rule: 'direction', where, message: `${from.packageName} may not use ${to.packageName}: turn it round` }]
}

function relative({ project, file, import: { specifier }, where }: Use): Violation[] {
  const target = posix.join(posix.dirname(file.path), specifier)
  if (target.startsWith('..')) {
    return [
      { rule: 'boundary', where, message: `${specifier} leaves ${project.folder}: import the package by its name` },
    ]
  }
  if (shipped(file) && /^(?:testing|test|bench|e2e)\//.test(target)) return [testing(specifier, where)]
  if (file.path.startsWith('migrations/') && !target.startsWith('migrations/')) return [migration(specifier, where)]
  return []
}

function byName(workspace: Workspace, use: Use): Violation[] {
  const { project, file, where } = use
  const { specifier } = use.import
  if (isBuiltin(specifier)) return []
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const target = workspace.projects.find(({ packageName }) => packageName === name)
  const found: Violation[] = []
  if (target !== undefined) {
    const entry = `.${specifier.slice(name.length)}`
    const fixture = entry === './testing' && !shipped(file) && testsWith(project, target)
    const wrongWay = fixture ? [] : direction(project, target, where)
    if (wrongWay.length > 0) return wrongWay
    if (!target.exports.includes(entry)) {
      found.push({
        rule: 'exports',
        where,
        message: `${name} does not export ${entry}: use what its package.json lists`,
      })
    }
    if (entry === './testing' && shipped(file)) found.push(testing(specifier, where))
    if (file.path.startsWith('migrations/')) found.push(migration(specifier, where))
  }
  if (name !== project.packageName && !declared(workspace, project, file, use.import.typeOnly).includes(name)) {
    const list = shipped(file) ? 'dependencies' : 'dependencies or devDependencies'
    found.push({
      rule: 'undeclared',
      where,
      message: `${name} is not in the ${list} of ${project.folder}/package.json`,
    })
  }
  return found
}

/** The packages that a file may import; types are gone before it runs, so they may come from a development package. */
function declared(workspace: Workspace, project: Project, file: File, typeOnly: boolean): string[] {
  const installed = [...project.dependencies, ...project.optionalDependencies]
  if (shipped(file) && !typeOnly) return installed
  const types = project.devDependencies.map((name) => name.replace(/^@types\//, ''))
  return [...installed, ...project.devDependencies, ...types, ...workspace.rootDevDependencies]
}

function unusedDependencies({ folder, dependencies, files }: Project): Violation[] {
  const specifiers = files.filter(shipped).flatMap(({ imports }) => imports.map(({ specifier }) => specifier))
  return dependencies
    .filter((name) => !specifiers.some((specifier) => `${specifier}/`.startsWith(`${name}/`)))
    .map((name) => {
      const message = `${name} is installed with every release, and no source imports it: take it out`
      return { rule: 'unused', where: `${folder}/package.json`, message }
    })
}

/** What is left of a project in production, where devDependencies are not installed. */
function shipped({ path }: File): boolean {
  return path.startsWith('src/') || path.startsWith('migrations/')
}

function testing(specifier: string, where: string): Violation {
  return { rule: 'testing', where, message: `${specifier} is for tests: a source may not import it` }
}

function migration(specifier: string, where: string): Violation {
  return { rule: 'migration', where, message: `a migration outlives the code it would import from ${specifier}` }
}
