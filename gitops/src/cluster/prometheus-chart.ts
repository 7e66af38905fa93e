import { fullName, staticImages } from './images/static.ts'
import type { Manifest } from './manifest-templates.ts'

const name = 'kube-prometheus-stack-prometheus'
const image = staticImages.filter(({ program }) => program === 'prometheus').map(fullName)[0] ?? ''

/**
 * The manifests of the module of the operator, in the namespace of the Application, and the Prometheus that the chart asks
 * it for: every ServiceMonitor and rule of the cluster. Grafana and Alertmanager are left out.
 */
export function prometheusStack(operator: Manifest[], server: Manifest[]): Manifest[] {
  return [
    ...operator.filter(({ kind }) => kind !== 'ServiceMonitor').map(inMonitoring),
    ...server.filter(({ kind }) => kind !== 'Prometheus').map(inMonitoring),
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'Prometheus',
      metadata: { name },
      spec: {
        version: image.replace(/^.*:/, ''),
        image,
        serviceAccountName: 'prometheus',
        serviceMonitorSelector: {},
        serviceMonitorNamespaceSelector: {},
        ruleSelector: {},
        ruleNamespaceSelector: {},
        retention: '1d',
        resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '768Mi' } },
        securityContext: { runAsNonRoot: true, runAsUser: 65_534, fsGroup: 65_534 },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: {
        selector: { 'operator.prometheus.io/name': name },
        ports: [{ name: 'http-web', port: 9090, targetPort: 'web' }],
      },
    },
  ]
}

/** The manifests are of the namespace `default`. */
function inMonitoring(manifest: Manifest): Manifest {
  const { metadata, subjects } = manifest as Manifest & { subjects?: { namespace?: string }[] }
  const { namespace: _, ...rest } = metadata
  return {
    ...manifest,
    metadata: rest,
    ...(subjects && { subjects: subjects.map((subject) => ({ ...subject, namespace: 'monitoring' })) }),
  }
}
