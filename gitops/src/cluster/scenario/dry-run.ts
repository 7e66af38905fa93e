import { join } from 'node:path'
import { renderAll } from '../../render.ts'
import { type Document, readDocuments } from '../../rules/documents.ts'
import type { Manifest } from '../kubernetes.ts'
import type { Step } from './step.ts'

/** Resources of a controller that only AWS has. */
const definitions = join(import.meta.dirname, '../../../schemas')

/** What a cluster of `local` has with other fields that never change: it is tried under another name. */
const immutable = ['Job', 'ClusterIssuer']
/** What the admission webhook of External Secrets says of a provider that this cluster's program is built without. */
const otherProvider = /failed to find registered store backend for type: (aws|azurekv)/

const forTrial = (document: Document): Document =>
  immutable.includes(document.kind)
    ? { ...document, metadata: { ...document.metadata, name: `${document.metadata.name}-trial` } }
    : document

export const dryRun: Step = {
  name: 'server-side dry run, strict, of every overlay of every target',
  run: async ({ kubernetes }) => {
    const rendered = await renderAll()
    const made = new Set<string>()
    const created: string[] = []
    const faults: string[] = []
    let count = 0
    let otherProviders = 0
    await kubernetes.kubectl('apply', '--server-side', '--filename', definitions)
    await kubernetes.kubectl('wait', '--for=condition=Established', '--timeout=60s', '--filename', definitions)
    for (const { path, yaml } of rendered) {
      for (const document of readDocuments(yaml)) {
        const namespace = document.kind === 'Namespace' ? document.metadata.name : document.metadata.namespace
        if (namespace !== undefined && !made.has(namespace)) {
          made.add(namespace)
          if ((await kubernetes.read(`/api/v1/namespaces/${namespace}`)) === undefined) {
            await kubernetes.kubectl('create', 'namespace', namespace)
            created.push(namespace)
          }
        }
        count += 1
        await kubernetes.dryRun(forTrial(document) as Manifest).catch(({ message }: Error) => {
          if (otherProvider.test(message)) otherProviders += 1
          else faults.push(`${path}: ${document.kind}/${document.metadata.name}: ${message.slice(0, 300)}`)
        })
      }
    }
    for (const namespace of created) await kubernetes.kubectl('delete', 'namespace', namespace, '--wait=false')
    await kubernetes.kubectl('delete', '--filename', definitions)
    if (faults.length > 0)
      throw new Error(`${faults.length} of ${count} objects are rejected:\n  ${faults.join('\n  ')}`)
    const wrong = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'attempt', namespace: 'default' }, dat: {} }
    const control = await kubernetes.dryRun(wrong).then(
      () => '',
      (error: Error) => error.message,
    )
    if (!/unknown field|field not declared/.test(control))
      throw new Error(`A misspelt field was not rejected: ${control || 'accepted'}.`)
    return `${count} objects of ${rendered.length} overlays (of ${otherProviders} stores only the schema)`
  },
}
