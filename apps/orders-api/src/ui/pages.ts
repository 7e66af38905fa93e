import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import csrf from '../plugins/csrf.ts'
import { toldOf } from '../plugins/problems.ts'
import sessions from '../plugins/sessions.ts'
import { errorPages } from './error-pages.ts'
import { live } from './live.ts'
import { orderPage } from './order-page.ts'
import { ordersPage } from './orders-page.ts'
import { placeOrderPage } from './place-order-page.ts'
import { sessionForms } from './session-forms.ts'
import { type SignInOptions, signInPage } from './sign-in-page.ts'
import { usagePage } from './usage-page.ts'
import { visitorOf } from './visitor.ts'
import { webhookPage } from './webhook-page.ts'
import { webhooksPage } from './webhooks-page.ts'

type Options = SignInOptions & { defaultCurrency: string }

/** The pages: forms instead of JSON, and every refusal a page. */
export async function pages(app: FastifyInstance, { defaultCurrency, ...signIn }: Options) {
  app.decorate('acceptedTypes', ['application/x-www-form-urlencoded'])
  app.removeAllContentTypeParsers()
  await app.register(formbody)
  await app.register(csrf)
  await app.register(sessions)
  app.decorateReply('visitor', function visitor() {
    return visitorOf(this, app.guestTokens !== null || signIn.clients.size > 0)
  })
  app.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, hide: true }
  })
  app.setErrorHandler((error, request, reply) => reply.problemPage(toldOf(error, request)))

  await app.register(ordersPage, { defaultCurrency })
  await app.register(placeOrderPage, { defaultCurrency })
  await app.register(orderPage)
  await app.register(live)
  await app.register(signInPage, signIn)
  await app.register(sessionForms, signIn)
  await app.register(webhooksPage)
  await app.register(webhookPage)
  await app.register(usagePage)
  await app.register(errorPages)
}
