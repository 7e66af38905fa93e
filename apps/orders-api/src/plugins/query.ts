import type { FastifyInstance, preValidationHookHandler } from 'fastify'
import fp from 'fastify-plugin'

type QuerySchema = { properties: Record<string, { type?: string }> }

/** Query strings are text: turns the parameters that a route's schema calls numbers into such, and nothing else. */
async function query(app: FastifyInstance) {
  app.addHook('onRoute', (route) => {
    const schema = route.schema?.querystring as QuerySchema | undefined
    if (!schema) return
    const numeric = Object.keys(schema.properties).filter((name) =>
      /^(integer|number)$/.test(schema.properties[name]?.type ?? ''),
    )
    const convert: preValidationHookHandler = (request, _reply, done) => {
      const values = request.query as Record<string, unknown>
      for (const name of numeric) {
        const text = values[name]
        // Other texts stay texts, which the schema then refuses by name.
        if (typeof text === 'string' && /^-?\d{1,15}(\.\d{1,15})?$/.test(text)) values[name] = Number(text)
      }
      done()
    }
    route.preValidation = [convert, ...[route.preValidation ?? []].flat()]
  })
}

export default fp(query, { name: 'query' })
