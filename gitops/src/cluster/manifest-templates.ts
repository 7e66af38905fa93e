import { parseAllDocuments, stringify } from 'yaml'

export type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; [key: string]: unknown }
  [key: string]: unknown
}

/** What becomes of a manifest, by `Kind/name`. A value `{ $helm: expression }` is the object that the expression yields. */
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
  const open = new Set(Object.keys(changes))
  const files: Record<string, string> = {}
  for (const manifest of manifests) {
    const id = `${manifest.kind}/${manifest.metadata.name}`
    open.delete(id)
    const changed = changes[id]?.(manifest) ?? manifest
    const folder = manifest.kind === 'CustomResourceDefinition' ? 'crds' : 'templates'
    const text = folder === 'crds' ? stringify(changed) : template(changed)
    files[
      `${folder}/${id
        .toLowerCase()
        .replace('/', '-')
        .replaceAll(/[^a-z0-9-]/g, '.')}.yaml`
    ] = text
  }
  if (open.size > 0) throw new Error(`The manifests have no ${[...open].join(', ')}: the module has changed.`)
  return files
}

/** A manifest as a template: braces of its own are escaped, and expressions are put in. */
function template(manifest: Manifest): string {
  const expressions: string[] = []
  const marked = JSON.stringify(manifest, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('$helm' in value)) return value
    expressions.push(String(value.$helm))
    return `@expression${expressions.length - 1}@`
  })
  const text = stringify(JSON.parse(marked) as Manifest).replaceAll('{{', '{{ "{{" }}')
  return text.replaceAll(/@expression(\d+)@/g, (_, index: string) => object(expressions[Number(index)] ?? ''))
}

/** Every value of a ConfigMap is text. */
const object = (expression: string) =>
  `{ {{- range $key, $value := ${expression} }}{{ $key | quote }}: {{ $value | toString | toJson }}, {{ end }} }`
