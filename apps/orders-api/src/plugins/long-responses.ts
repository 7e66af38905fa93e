import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createSlots } from '../long-responses/concurrency.ts'
import { createLongResponses } from '../long-responses/registry.ts'

declare module 'fastify' {
  interface FastifyInstance {
    longResponses: ReturnType<typeof createLongResponses>
  }
}

export type LongResponseOptions = {
  /** See CONCURRENCY_LIMITS. */
  setting?: string | undefined
  /** Milliseconds between two checks of authorisation and read rate. */
  checkMs?: number | undefined
  /** Milliseconds over which a client's read rate is measured. */
  windowMs?: number | undefined
  /** Milliseconds, of a clock that never goes back. */
  now?: (() => number) | undefined
}

/** Responses that may last longer than 30 s: bounds how many there are, and ends those that lost their authorisation. */
async function longResponses(app: FastifyInstance, options: LongResponseOptions) {
  const { setting, checkMs = 10_000, windowMs = 30_000, now = () => performance.now() } = options
  const { meters, log } = app
  const slots = createSlots({ setting, onRateLimited: meters.onRateLimited })
  const { onSlowReader: onTooSlow } = meters
  const responses = createLongResponses({ slots, now, windowMs, onTooSlow })
  app.decorate('longResponses', responses)

  const onError = (error: Error) => log.error({ err: error }, 'long responses could not be checked')
  const checking = setInterval(() => responses.check().catch(onError), checkMs).unref()
  app.onAccessChange((userId) => responses.recheck(userId).catch(onError))
  // Before Fastify waits for the responses, of which some would never end by themselves.
  app.addHook('preClose', async () => {
    clearInterval(checking)
    responses.drain()
  })
}

export default fp(longResponses, { name: 'long-responses', dependencies: ['access', 'metrics'] })
