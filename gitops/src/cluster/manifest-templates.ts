import { parseAllDocuments, stringify } from 'yaml'

export type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; [key: string]: unknown }
  [key: string]: unknown
}

/**
 * What becomes of a manifest, by `Kind/name`. A value `{ $values: [path] }` becomes the object that the values have at these
 * paths; `$default` is what the chart itself has there. A value `{ $yaml: path }` becomes text, what the values have there;
 * `{ $value: path }` becomes that value itself.
 */
export type Changes = Record<string, (manifest: Manifest) => Manifest>

export function readManifests(yaml: string): Manifest[] {
  return parseAllDocuments(yaml)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
}

/**
 * The templates of a chart that yields these manifests. Definitions of resources go to `crds`, which helm and Argo CD apply
 * first. Throws an Error for a change of a manifest that is not there.
 */
export function toTemplates(manifests: Manifest[], changes: Changes): Record<string, string> {
  const idOf = ({ kind, metadata }: Manifest) => `${kind}/${metadata.name}`
  const missing = Object.keys(changes).filter((id) => !manifests.some((manifest) => idOf(manifest) === id))
  if (missing.length > 0) throw new Error(`The manifests have no ${missing.join(', ')}: the module has changed.`)
  const all = manifests.map((manifest) => changes[idOf(manifest)]?.(manifest) ?? manifest)
  const files: Record<string, string> = { 'values.yaml': yaml(defaults(all)) }
  for (const manifest of all) {
    const id = idOf(manifest)
    const folder = manifest.kind === 'CustomResourceDefinition' ? 'crds' : 'templates'
    const text = folder === 'crds' ? yaml(manifest) : template(manifest)
    files[
      `${folder}/${id
        .toLowerCase()
        .replace('/', '-')
        .replaceAll(/[^a-z0-9-]/g, '.')}.yaml`
    ] = text
  }
  return files
}

/** A manifest as a template: braces of its own are escaped, and expressions are put in. */
function template(manifest: Manifest): string {
  const expressions: string[] = []
  const mark = (expression: string) => `expression-${expressions.push(expression) - 1}-here`
  const marked = JSON.stringify(manifest, (_key, value: unknown) => {
    if (isValue(value)) return mark(`{{ .Values.${value.$value} | toJson }}`)
    if (isText(value)) return mark(`{{ toYaml .Values.${value.$yaml} | toJson }}`)
    if (!isFromValues(value)) return value
    return mark(object(`merge dict ${value.$values.map((path) => `(.Values.${path} | default dict)`).join(' ')}`))
  })
  const text = yaml(JSON.parse(marked)).replaceAll('{{', '{{ "{{" }}')
  return text.replaceAll(/expression-(\d+)-here/g, (_, index: string) => expressions[Number(index)] ?? '')
}

/** Every value of a ConfigMap is text. */
const object = (expression: string) =>
  `{ {{- range $key, $value := ${expression} }}{{ $key | quote }}: {{ $value | toString | toJson }}, {{ end }} }`

type FromValues = { $values: string[]; $default?: unknown }
const isFromValues = (value: unknown): value is FromValues =>
  typeof value === 'object' && value !== null && '$values' in value

type Text = { $yaml: string }
const isText = (value: unknown): value is Text => typeof value === 'object' && value !== null && '$yaml' in value

type Value = { $value: string }
const isValue = (value: unknown): value is Value => typeof value === 'object' && value !== null && '$value' in value

/** The values that the chart itself has. */
function defaults(manifests: Manifest[]): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const data of manifests.map((manifest) => manifest.data)) {
    if (!isFromValues(data)) continue
    const keys = (data.$values[0] ?? '').split('.')
    const last = keys.pop() ?? ''
    let at = values
    for (const key of keys) {
      at[key] ??= {}
      at = at[key] as Record<string, unknown>
    }
    at[last] = data.$default ?? {}
  }
  return values
}

/** Helm reads YAML 1.1, where a plain `no` is a boolean. */
export const yaml = (value: unknown) => stringify(value, { version: '1.1', lineWidth: 0 })
