import { setTimeout as delay } from 'node:timers/promises'
import { assertSchema, DatabaseError } from '@orders/database'
import { Problem } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { may } from '../access/rules.ts'
import { refusals } from '../api/refusals.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** From now on /readyz says no and answers close their connection, while requests are still served. */
    startDraining: () => void
  }
}

const checkForMs = 1000
// Kubernetes waits 2 s for a probe (gitops/apps/orders/base/deployment.yaml).
const longestCheckMs = 1000
const Health = Type.Object({ status: Type.String() })
const Readiness = Type.Object({ status: Type.String(), database: Type.Optional(Type.String()) })

const NotReady = {
  description: 'It drains, its schema is too old, or it is overloaded.',
  content: {
    'application/json': { schema: Readiness },
    'application/problem+json': { schema: Type.Ref(Problem) },
  },
}

type Options = { version: { version: string; commit: string; image_digest?: string } }

type DatabaseState = 'ok' | 'unreachable' | 'schema too old' | 'not durable'

/**
 * Liveness, readiness, version. A database that goes away or hangs does not change readiness: otherwise all processes would
 * become unready at once, and callers would get the error of the load balancer instead of ours (503 with Retry-After). A
 * database that is not durable leaves a process ready too, because reads still work.
 */
async function health(app: FastifyInstance, { version }: Options) {
  let draining = false
  let checkedAt = Number.NEGATIVE_INFINITY
  let checking = false
  let isTooOld = false
  let state: Promise<DatabaseState> = Promise.resolve('ok')

  app.decorate('startDraining', () => {
    draining = true
    app.closeConnections()
  })

  function databaseState() {
    if (checking || performance.now() - checkedAt < checkForMs) return state
    checking = true
    const check = checkDatabase().then((found) => {
      checking = false
      checkedAt = performance.now()
      if (found !== 'unreachable') isTooOld = found === 'schema too old'
      state = Promise.resolve(verdict(found))
      return found
    })
    const late = delay(longestCheckMs, 'unreachable' as const, { ref: false })
    state = Promise.race([check, late]).then((found) => {
      if (found === 'unreachable') app.meters.onDatabaseError('probe')
      return verdict(found)
    })
    return state
  }

  /** A database that does not answer says nothing about its schema: a schema that did not fit still counts. */
  const verdict = (found: DatabaseState) => (found === 'unreachable' && isTooOld ? 'schema too old' : found)

  async function checkDatabase(): Promise<DatabaseState> {
    try {
      await Promise.all([assertSchema(app.database), app.database.checkDurability()])
    } catch (error) {
      return error instanceof DatabaseError ? 'schema too old' : 'unreachable'
    }
    return app.database.durabilityFault() === undefined ? 'ok' : 'not durable'
  }

  const alive = (summary: string) => ({
    config: { rateLimit: false as const },
    schema: { ...may.anyone, summary, tags: ['operations'], response: { 200: Health, ...refusals() } },
  })
  app.get('/health', alive('Is the process there'), async () => ({ status: 'ok' }))
  app.get('/livez', alive('Does the process answer'), async () => ({ status: 'ok' }))

  for (const url of ['/readyz', '/ready']) {
    app.get(
      url,
      {
        config: { rateLimit: false },
        schema: {
          ...may.anyone,
          summary: 'May requests be sent here',
          tags: ['operations'],
          hide: url === '/ready',
          response: { 200: Readiness, ...refusals(), 503: NotReady },
        },
      },
      async (_request, reply) => {
        if (draining) return reply.code(503).send({ status: 'draining' })
        const database = await databaseState()
        if (database === 'schema too old') return reply.code(503).send({ status: 'not ready', database })
        return { status: 'ready', database }
      },
    )
  }

  const Version = Type.Object({
    version: Type.String(),
    commit: Type.String(),
    image_digest: Type.Optional(Type.String()),
  })
  const versionRoute = {
    config: { rateLimit: false as const },
    schema: {
      ...may.anyone,
      summary: 'What is running',
      tags: ['operations'],
      response: { 200: Version, ...refusals() },
    },
  }
  app.get('/version', versionRoute, async () => version)
}

export default fp(health, { name: 'health', dependencies: ['http-hygiene', 'database', 'metrics'] })
