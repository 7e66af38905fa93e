import type { DeadLetters, Orders, People, Webhooks } from '@orders/orders'
import type { Lookup } from '@orders/runtime'
import * as schemas from '@orders/schema'
import type { FastifyInstance } from 'fastify'
import { createOpenIdSignIns } from './access/openid-sign-in.ts'
import { deadLetterRoutes } from './api/dead-letters.ts'
import { deliveryRoutes } from './api/deliveries.ts'
import { exportRoutes } from './api/export.ts'
import { importRoutes } from './api/import.ts'
import { meRoutes } from './api/me.ts'
import { memberRoutes } from './api/members.ts'
import { orderHistoryRoutes } from './api/order-history.ts'
import { orderStreamRoutes } from './api/order-stream.ts'
import { orderRoutes } from './api/orders.ts'
import { organisationRoutes } from './api/organisations.ts'
import { projectRoutes } from './api/projects.ts'
import { usageRoutes } from './api/usage.ts'
import { webhookRoutes } from './api/webhooks.ts'
import type { Config } from './config.ts'
import access from './plugins/access.ts'
import audit from './plugins/audit.ts'
import database from './plugins/database.ts'
import health from './plugins/health.ts'
import httpHygiene from './plugins/http-hygiene.ts'
import longResponses, { type LongResponseOptions } from './plugins/long-responses.ts'
import methods from './plugins/methods.ts'
import metrics from './plugins/metrics.ts'
import openMode from './plugins/open-mode.ts'
import openapi from './plugins/openapi.ts'
import orderStream from './plugins/order-stream.ts'
import orders from './plugins/orders.ts'
import outgoing, { type outgoingBounds } from './plugins/outgoing.ts'
import pressure from './plugins/pressure.ts'
import problems from './plugins/problems.ts'
import query from './plugins/query.ts'
import rateLimits from './plugins/rate-limits.ts'
import requestMetrics from './plugins/request-metrics.ts'
import scans from './plugins/scans.ts'
import slowBody from './plugins/slow-body.ts'
import strictJson from './plugins/strict-json.ts'
import usage from './plugins/usage.ts'
import view from './plugins/view.ts'
import webhooks from './plugins/webhooks.ts'
import { readQuotas } from './quotas.ts'
import { cspReports } from './ui/csp-reports.ts'
import { pages } from './ui/pages.ts'

type Given = {
  orders?: Orders
  people?: People
  webhooks?: Webhooks
  deadLetters?: DeadLetters
  lookup?: Lookup
  /** The clock of rate limits and of the audit log, in milliseconds. */
  now?: () => number
  /** Milliseconds that a reader of the stream may take nothing. */
  patienceMs?: number
  longResponses?: Omit<LongResponseOptions, 'setting'>
  outgoingBounds?: typeof outgoingBounds
}

/** Sets the whole service up: what there is, in its order. Needs no socket, and with `given` no database. */
export async function app(server: FastifyInstance, config: Config, given: Given = {}) {
  const version = {
    version: '0.1.0',
    commit: config.ORDERS_COMMIT,
    ...(config.ORDERS_IMAGE_DIGEST !== undefined && { image_digest: config.ORDERS_IMAGE_DIGEST }),
  }
  for (const schema of Object.values(schemas)) {
    if (typeof schema === 'object' && '$id' in schema) server.addSchema(schema)
  }

  const quotas = readQuotas(config.QUOTAS)

  await server.register(problems)
  await server.register(requestMetrics)
  await server.register(httpHygiene, { version: config.ORDERS_COMMIT })
  await server.register(methods)
  if (config.AUTH_MODE === 'open') await server.register(openMode, { hosts: hostsOf(config) })
  await server.register(slowBody)
  await server.register(strictJson)
  await server.register(query)
  await server.register(pressure)
  await server.register(rateLimits, {
    setting: config.RATE_LIMITS ?? (config.AUTH_MODE === 'required' ? 'on' : 'off'),
    redisUrl: config.REDIS_URL,
    now: given.now,
  })
  await server.register(database, {
    url: config.DATABASE_URL,
    contextKey: config.CONTEXT_KEY,
    max: config.DATABASE_POOL_MAX,
    elapsed: given.now,
  })
  await server.register(audit, { now: given.now })
  await server.register(access, {
    mode: config.AUTH_MODE,
    databaseUrl: config.DATABASE_URL,
    guestKeys: config.GUEST_KEYS,
    openIdIssuers: config.OPENID_ISSUERS,
    people: given.people,
    quotas,
  })
  await server.register(outgoing, { bounds: given.outgoingBounds })
  await server.register(openapi)
  const isPublic = config.ADMIN_PORT === undefined && config.AUTH_MODE === 'open'
  await server.register(metrics, { endpoint: isPublic ? '/metrics' : null })
  await server.register(longResponses, { ...given.longResponses, setting: config.CONCURRENCY_LIMITS })
  await server.register(scans, { setting: config.CONCURRENCY_LIMITS })
  await server.register(orders, {
    defaultCurrency: config.DEFAULT_CURRENCY,
    cosmosEndpoint: config.HISTORY_COSMOS_ENDPOINT,
    cosmosDatabase: config.HISTORY_COSMOS_DATABASE,
    quotas,
    orders: given.orders,
  })
  await server.register(orderStream, { databaseUrl: config.DATABASE_URL, patienceMs: given.patienceMs })
  await server.register(webhooks, { allowLoopback: config.WEBHOOKS_ALLOW_LOOPBACK === 'true', quotas, given })
  await server.register(usage, { quotas })
  await server.register(health, { version })
  await server.register(view)

  const api = async (scope: FastifyInstance) => {
    await scope.register(orderRoutes)
    await scope.register(orderHistoryRoutes)
    await scope.register(orderStreamRoutes)
    await scope.register(importRoutes)
    await scope.register(exportRoutes)
  }
  await server.register(api, { prefix: '/api/v1' })
  await server.register(
    async (scope) => {
      await scope.register(meRoutes)
      await scope.register(organisationRoutes)
      await scope.register(memberRoutes)
      await scope.register(projectRoutes)
      await scope.register(webhookRoutes)
      await scope.register(deliveryRoutes)
      await scope.register(deadLetterRoutes)
      await scope.register(usageRoutes)
    },
    { prefix: '/api/v1' },
  )
  // The older services' addresses, the same routes without a second description.
  await server.register(async (aliases) => {
    aliases.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, hide: true }
    })
    await aliases.register(api)
  })
  await server.register(pages, {
    defaultCurrency: config.DEFAULT_CURRENCY,
    clients: createOpenIdSignIns(server.openIdIssuers, config, server.clock),
    publicUrl: config.PUBLIC_URL,
    isOpen: config.AUTH_MODE === 'open',
  })
  await server.register(cspReports)
}

const hostsOf = ({ ALLOWED_HOSTS = '', PUBLIC_URL }: Config): string[] => [
  ...ALLOWED_HOSTS.split(',').filter((host) => host !== ''),
  ...(PUBLIC_URL === undefined ? [] : [new URL(PUBLIC_URL).host]),
]
