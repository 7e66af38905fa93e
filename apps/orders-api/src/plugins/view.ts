import { join } from 'node:path'
import view from '@fastify/view'
import { errorCatalogue } from '@orders/schema'
import { Eta } from 'eta'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Refusal } from '../errors.ts'
import { assetRoutes, readAssets } from '../ui/assets.ts'
import { nobody, signInUrl, type Visitor } from '../ui/visitor.ts'
import { setRetryAfter } from './problems.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Answers with a page made of a template of ui/views, under the headers that a page needs. */
    page(template: string, data: { title: string } & Record<string, unknown>): FastifyReply
    /** Answers a refusal as a page, for those who came with a browser. */
    problemPage(refusal: Refusal): FastifyReply
    /** Who looks at the page; the pages know. */
    visitor(): Visitor
  }
}

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'",
  "require-trusted-types-for 'script'",
  'report-to csp',
]

const headers = {
  'content-security-policy': policy.join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), payment=(), usb=()',
  // With no-referrer, browsers send `Origin: null` with the page's own forms; over plain http that is all they tell.
  'referrer-policy': 'same-origin',
  'reporting-endpoints': 'csp="/ui/csp-reports"',
  'x-frame-options': 'DENY',
  'x-xss-protection': '0',
}

/** Pages: templates that escape every value, and the one place that sends HTML. */
async function pages(app: FastifyInstance) {
  const assets = readAssets()
  await app.register(view, {
    engine: { eta: new Eta() },
    root: join(import.meta.dirname, '../ui/views'),
    viewExt: 'eta',
    production: true, // templates are read once
    defaultContext: { assets: Object.fromEntries(assets.map(({ name, url }) => [name, url])) },
  })
  await app.register(assetRoutes, { assets })

  app.decorateReply('page', function page(template, data) {
    return this.headers(headers).view(template, { ...data, visitor: 'visitor' in this ? this.visitor() : nobody })
  })
  app.decorateReply('problemPage', function problemPage({ code, message }) {
    if (code === 'UNAUTHENTICATED' && this.request.headers.authorization === undefined) {
      return this.removeHeader('www-authenticate').redirect(signInUrl(this.request), 303)
    }
    const { status, title, help } = errorCatalogue[code]
    setRetryAfter(this, code)
    return this.code(status).page('problem', { title, status, code, message, help, requestId: this.request.id })
  })
}

export default fp(pages, { name: 'view' })
