import type { Context, Step } from './step.ts'

const namespace = 'orders-local'
const digest = `sha256:${'a'.repeat(64)}`

type Pod = {
  apiVersion: string
  kind: string
  metadata: object
  spec: { containers: object[]; [key: string]: unknown }
}

/** A pod as this repository writes them, except for what `container` and `spec` change. */
const pod = (container: object = {}, spec: object = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'attempt', namespace },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'attempt',
        image: `registry.orders.internal/orders/orders-api@${digest}`,
        resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '100m', memory: '64Mi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        ...container,
      },
    ],
    ...spec,
  },
})

/** Pods that must not run, and who must say so. */
const bad: [string, Pod, RegExp][] = [
  [
    'a tag instead of a digest',
    pod({ image: 'registry.orders.internal/orders/orders-api:latest' }),
    /Name the image by its digest/,
  ],
  [
    'root',
    pod({}, { securityContext: { runAsUser: 0, seccompProfile: { type: 'RuntimeDefault' } } }),
    /violates PodSecurity "restricted/,
  ],
  ['a privileged container', pod({ securityContext: { privileged: true } }), /violates PodSecurity/],
  ['the host network', pod({}, { hostNetwork: true }), /violates PodSecurity/],
  [
    'more memory than a container may have',
    pod({ resources: { requests: { cpu: '10m', memory: '3Gi' }, limits: { cpu: '100m', memory: '3Gi' } } }),
    /maximum memory usage per Container/,
  ],
  [
    'more than the quota',
    pod({ resources: { requests: { cpu: '2', memory: '2Gi' }, limits: { cpu: '2', memory: '2Gi' } } }),
    /exceeded quota/,
  ],
]

const dryRun = (context: Context, attempt: Pod) =>
  context.kubernetes.dryRun(attempt).then(
    () => '',
    (error: Error) => error.message,
  )

export const admission: Step = {
  name: 'Pod Security, quota, limit range and Kyverno reject bad pods and admit ours',
  run: async (context) => {
    for (const [what, attempt, expected] of bad) {
      const answer = await dryRun(context, attempt)
      if (!expected.test(answer)) throw new Error(`A pod with ${what} got: ${answer || 'admission'}.`)
    }
    const good = await dryRun(context, pod())
    if (good !== '') throw new Error(`Our own pod was rejected: ${good}.`)
    // A container without limits is not rejected: the limit range gives it some.
    const given = await context.kubernetes.dryRun(pod({ resources: {} }))
    const { resources } = given.spec.containers[0] as { resources?: { limits?: { memory?: string } } }
    if (resources?.limits?.memory !== '128Mi') throw new Error(`A pod without limits got ${JSON.stringify(resources)}.`)
    return `${bad.length} rejected, ours admitted, limits given to one without`
  },
}
