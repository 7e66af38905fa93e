import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { may } from '../access/rules.ts'

/** OpenAPI 3.1 at /openapi.json, made of the routes' schemas, and Swagger UI at /docs. */
async function openapi(app: FastifyInstance) {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Orders',
        version: '1',
        description: 'Keeps orders. Errors are problem documents (RFC 9457); each code has a page at `/errors/{code}`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'orders', description: 'Orders and their history.' },
        { name: 'people', description: 'Organisations, projects, users.' },
        { name: 'webhooks', description: 'Whom to tell of orders, and what came of telling them.' },
        { name: 'dead-letters', description: 'Events that could not be handed on.' },
        { name: 'operations', description: 'For operators.' },
      ],
    },
    transform: ({ schema, url, route }) => ({ schema: withOrganisation(withOptionalDefaults(schema), route), url }),
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `def-${i}`) },
  })
  await app.register(async (docs) => {
    docs.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, ...may.anyone }
      route.config = { ...route.config, rateLimit: false } // files, of which a page takes several
    })
    await docs.register(swaggerUi, { routePrefix: '/docs', staticCSP: true })
  })
  app.get('/openapi.json', { schema: { ...may.anyone, hide: true } }, async () => app.swagger())
}

export default fp(openapi, { name: 'openapi' })

const organisation = {
  type: 'string',
  format: 'uuid',
  description: 'The organisation to act in; without it, the home of the caller.',
}

type Query = { properties: Record<string, { default?: unknown }>; required?: string[] }

/** A parameter with a default is always there for the handler, and yet callers may leave it out. */
function withOptionalDefaults(schema: FastifySchema = {}): FastifySchema {
  const query = schema.querystring as Query | undefined
  if (!query) return schema
  const required = query.required?.filter((name) => query.properties[name]?.default === undefined) ?? []
  return { ...schema, querystring: { ...query, required } }
}

/** X-Org-Id of a route that acts in an organisation which its address does not name. */
function withOrganisation(schema: FastifySchema, { config }: RouteOptions): FastifySchema {
  if (!schema['x-roles'] || schema['x-roles'].includes('anyone') || config?.orgParam) return schema
  const headers = (schema.headers ?? { type: 'object', properties: {} }) as { properties: object }
  return { ...schema, headers: { ...headers, properties: { ...headers.properties, 'x-org-id': organisation } } }
}
