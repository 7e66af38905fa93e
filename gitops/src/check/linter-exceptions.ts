/** What the linter may say about which objects, and why that is meant. One that explains nothing fails the check. */
export type Exception = { check: string; object: RegExp; because: string }

const burst = 'A pod may use more than it asks for while its node has room: it starts faster so, and costs no more.'
const temporary = 'Only the temporary folder is written to, and its volume has a limit of its own.'

export const exceptions: Exception[] = [
  { check: 'container-resource-requests-equal-limits', object: /./, because: burst },
  { check: 'container-cpu-requests-equal-limits', object: /./, because: burst },
  { check: 'container-memory-requests-equal-limits', object: /./, because: burst },
  { check: 'container-ephemeral-storage-request-equals-limit', object: /./, because: temporary },
  {
    check: 'deployment-has-host-podantiaffinity',
    object: /./,
    because: 'Spread constraints distribute the pods over nodes and zones, which anti-affinity cannot.',
  },
  {
    check: 'deployment-replicas',
    object: /^Deployment\/orders-worker$/,
    because: 'KEDA owns its replicas, which the linter does not know; while its only pod moves, events wait.',
  },
  {
    check: 'deployment-replicas',
    object: /^Deployment\/orders-redis$/,
    because: 'Its counts are of one minute; while its only pod moves, each process of the service counts by itself.',
  },
  {
    check: 'pod-probes-identical',
    object: /^Deployment\/orders-redis$/,
    because: 'Redis depends on nothing, so a process that accepts connections is alive and ready.',
  },
  {
    check: 'horizontalpodautoscaler-replicas',
    object: /^HorizontalPodAutoscaler\/orders-api$/,
    because: 'A laptop, dev and previews have one pod; the rule enough-pods-to-lose-one looks after the others.',
  },
  {
    check: 'networkpolicy-targets-pod',
    object: /^NetworkPolicy\/(orders-database|envoy)$/,
    because: 'The pods of the database and of the Gateway are made by operators, which the linter does not know.',
  },
]
