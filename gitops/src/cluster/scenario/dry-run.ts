import { renderAll } from '../../render.ts'
import { readDocuments } from '../../rules/documents.ts'
import type { Step } from './step.ts'

export const dryRun: Step = {
  name: 'server-side dry run, strict, of every overlay of every target',
  run: async ({ kubernetes }) => {
    const rendered = await renderAll()
    const made = new Set<string>()
    const created: string[] = []
    const faults: string[] = []
    let count = 0
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
        await kubernetes
          .dryRun(document)
          .catch((error: Error) => faults.push(`${path}: ${document.kind}/${document.metadata.name}: ${error.message}`))
      }
    }
    for (const namespace of created) await kubernetes.kubectl('delete', 'namespace', namespace, '--wait=false')
    if (faults.length > 0)
      throw new Error(`${faults.length} of ${count} objects are rejected:\n  ${faults.join('\n  ')}`)
    const wrong = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'attempt', namespace: 'default' }, dat: {} }
    const control = await kubernetes.dryRun(wrong).then(
      () => '',
      (error: Error) => error.message,
    )
    if (!/unknown field/.test(control)) throw new Error(`A misspelt field was not rejected: ${control || 'accepted'}.`)
    return `${count} objects of ${rendered.length} overlays`
  },
}
