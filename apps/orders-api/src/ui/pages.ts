import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import csrf from '../plugins/csrf.ts'
import { toldOf } from '../plugins/problems.ts'
import { errorPages } from './error-pages.ts'
import { orderPage } from './order-page.ts'
import { ordersPage } from './orders-page.ts'
import { placeOrderPage } from './place-order-page.ts'
import { webhookPage } from './webhook-page.ts'
import { webhooksPage } from './webhooks-page.ts'

/** The pages: forms instead of JSON, and every refusal a page. */
export async function pages(app: FastifyInstance, { defaultCurrency }: { defaultCurrency: string }) {
  app.removeAllContentTypeParsers()
  await app.register(formbody)
  await app.register(csrf)
  app.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, hide: true }
  })
  app.setErrorHandler((error, request, reply) => reply.problemPage(toldOf(error, request)))

  await app.register(ordersPage, { defaultCurrency })
  await app.register(placeOrderPage, { defaultCurrency })
  await app.register(orderPage)
  await app.register(webhooksPage)
  await app.register(webhookPage)
  await app.register(errorPages)
}
