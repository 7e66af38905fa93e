import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import pins from '../../tools.json' with { type: 'json' }
import { cacheFolder, execute, exists, fillOnce } from './cache.ts'
import { checkedVersions, minorOf, targetVersion } from './kubernetes-versions.ts'

type Schema = { [key: string]: unknown }
type Definition = {
  kind?: string
  spec?: { group: string; names: { kind: string }; versions: { name: string; schema: { openAPIV3Schema: Schema } }[] }
}

const { kubernetes, crds } = pins.schemas
/** Definitions of resources that no package of a registry contains. */
const ownDefinitions = globSync(join(import.meta.dirname, '../../schemas/*.yaml'))
  .sort()
  .map((file) => readFileSync(file, 'utf8'))
const contents = JSON.stringify([pins.schemas, checkedVersions.map(minorOf), ownDefinitions])
const folderName = `schemas-${createHash('sha256').update(contents).digest('hex').slice(0, 12)}`
const kubernetesFolder = (version: string) => `v${minorOf(version)}`
const customFolder = 'custom'
const metadata = {
  $ref: `../${kubernetesFolder(targetVersion)}/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`,
}

/** The folder of the schemas. Throws an Error that says how to install them. */
export async function schemasFolder(): Promise<string> {
  const folder = join(cacheFolder, folderName)
  if (await exists(folder)) return folder
  throw new Error('The schemas are missing: run npx nx run gitops:tools.')
}

/** Where kubeconform finds the schema of a kind for a Kubernetes version, in a folder made by `installSchemas`. */
export const schemaLocations = (folder: string, version: string): string[] =>
  [kubernetesFolder(version), customFolder].map((part) => `${folder}/${part}/{{.ResourceKind}}{{.KindSuffix}}.json`)

/**
 * Installs the schemas of each checked Kubernetes version and of every add-on's resources, as the servers have them, with
 * unknown fields refused: one file a kind. They come from packages that a registry keeps and a checksum guards. Returns
 * their folder.
 */
export function installSchemas(say: (line: string) => void): Promise<string> {
  return fillOnce(folderName, async (folder) => {
    const sources = `${folder}.sources`
    try {
      say(`schemas of Kubernetes ${checkedVersions.map(minorOf).join(' and ')}`)
      await kubernetesSchemas(folder, sources)
      for (const crd of crds) {
        say(`schemas of ${crd.package} ${crd.version}`)
        await customSchemas(folder, sources, crd)
      }
      for (const yaml of ownDefinitions) await writeSchemas(yaml, join(folder, customFolder))
    } finally {
      await rm(sources, { recursive: true, force: true })
    }
  })
}

async function kubernetesSchemas(folder: string, sources: string) {
  await execute(
    'The schemas of Kubernetes did not arrive: install Python 3 with pip, and see that its registry can be reached.',
    'python3',
    [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--root-user-action=ignore',
      '--no-deps',
      '--no-compile',
    ].concat(['--target', sources, `${kubernetes.package}==${kubernetes.version}`]),
  )
  for (const version of checkedVersions) {
    const all = join(sources, 'kubernetes_validate/kubernetes-json-schema')
    await copySchemas(join(all, `v${minorOf(version)}.0-local-strict`), join(folder, kubernetesFolder(version)))
  }
}

async function copySchemas(from: string, to: string) {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) {
    const text = await readFile(join(from, name), 'utf8')
    // Their addresses are of the web; these files refer to each other, and to nothing else.
    const schema = JSON.parse(text.replaceAll('"/api/_definitions.json#', '"_definitions.json#')) as Schema
    delete schema.$id
    await writeFile(join(to, name), JSON.stringify(schema))
  }
}

async function customSchemas(folder: string, sources: string, crd: (typeof crds)[number]) {
  const cache = { GOMODCACHE: join(sources, 'go'), GOFLAGS: '-modcacherw' }
  const said = await execute(
    `The schemas of ${crd.package} did not arrive: install Go 1.26 or newer, and see that its module proxy can be reached.`,
    'go',
    ['mod', 'download', '-json', `${crd.package}@v${crd.version}`],
    cache,
  )
  const from = join((JSON.parse(said) as { Dir: string }).Dir, crd.folder)
  const to = join(folder, customFolder)
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) {
    if (name.endsWith('.yaml')) await writeSchemas(await readFile(join(from, name), 'utf8'), to)
  }
}

async function writeSchemas(yaml: string, to: string) {
  for (const document of parseAllDocuments(yaml)) {
    for (const [file, schema] of schemasOf(document.toJS() as Definition | null)) {
      await writeFile(join(to, file), JSON.stringify(schema))
    }
  }
}

/** The schemas that a CustomResourceDefinition gives its versions, by the file name that `schemaLocations` asks for. */
export function schemasOf(definition: Definition | null): [string, Schema][] {
  const { kind, spec } = definition ?? {}
  if (kind !== 'CustomResourceDefinition' || spec === undefined) return []
  const stem = `${spec.names.kind.toLowerCase()}-${spec.group.split('.')[0]}`
  return spec.versions.map(({ name, schema }) => {
    const strict = refuseUnknown(schema.openAPIV3Schema)
    const properties = { ...(strict.properties as Schema), metadata }
    return [`${stem}-${name}.json`, { ...strict, properties, additionalProperties: false }]
  })
}

/** What the server does and JSON Schema says otherwise: unknown fields refused, and int-or-string. */
function refuseUnknown(schema: Schema): Schema {
  const { format: _format, description: _description, ...rest } = schema
  const strict: Schema = rest
  for (const key of ['properties', 'patternProperties']) {
    if (isObject(schema[key])) {
      strict[key] = Object.fromEntries(
        Object.entries(schema[key]).map(([name, value]) => [name, refuseUnknown(value as Schema)]),
      )
    }
  }
  for (const key of ['items', 'additionalProperties'])
    if (isObject(schema[key])) strict[key] = refuseUnknown(schema[key])
  if (schema['x-kubernetes-int-or-string'] === true) return { anyOf: [{ type: 'integer' }, { type: 'string' }] }
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true || 'additionalProperties' in schema
  if (isObject(schema.properties) && !open) strict.additionalProperties = false
  if (schema.nullable === true && typeof schema.type === 'string') strict.type = [schema.type, 'null']
  return strict
}

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
