import { type Container, type Document, nameOf, ofKind } from './documents.ts'
import { containersOf, podsOf } from './pods.ts'
import type { Rule } from './rule.ts'

/** What PostgreSQL keeps for its superusers, and what people and an operator may want at the same time. */
const spare = 10

// Connections of one process at most; beside its pools it has some that listen.
const holds: Record<string, (pool: number) => number> = {
  'apps/orders-api/src/server.ts': (pool) => pool + 2,
  'apps/orders-worker/src/worker.ts': (pool) => 2 * pool + 2,
  'packages/database/src/migrate-cli.ts': () => 1,
}

function connectionsOf(set: Document[], { args, env = [], envFrom = [] }: Container): number {
  const maps = ofKind(set, 'ConfigMap').filter(({ metadata }) =>
    envFrom.some(({ configMapRef }) => configMapRef?.name === metadata.name),
  )
  const given = Object.assign({}, ...maps.map(({ data }) => data), ...env.map(({ name, value }) => ({ [name]: value })))
  return holds[args?.[0] ?? '']?.(Number(given.DATABASE_POOL_MAX)) ?? 0
}

/** What `max_connections` has to be, so that every pod that there may be at once fills its pools. */
export const neededConnections = (set: Document[]): number =>
  podsOf(set).reduce(
    (sum, pods) => sum + pods.most * containersOf(pods).reduce((all, one) => all + connectionsOf(set, one), 0),
    spare,
  )

export const connectionRules: Record<string, Rule> = {
  'connections-fit': (set) =>
    ofKind(set, 'Cluster').flatMap((cluster): [string, string][] => {
      const allowed = cluster.spec?.postgresql?.parameters?.max_connections
      const needed = neededConnections(set)
      return needed <= Number(allowed)
        ? []
        : [[nameOf(cluster), `allows ${allowed} connections, and all pods at once need ${needed}`]]
    }),
}
