import type { Order } from '@orders/schema'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { readPage } from '../api/read-page.ts'
import { toldOf } from '../plugins/problems.ts'
import { readValues } from './fields.ts'
import { listUrl, readFilter } from './filter-form.ts'
import { money } from './money.ts'
import { currencyOptions, emptyForm } from './place-form.ts'
import { sharing, within } from './shared-work.ts'
import { timeOf } from './time.ts'
import { totalsOf, totalsRange } from './totals.ts'

const pageSize = 25
const patienceMs = 500

/** The orders of the organisation: a filtered page of them, their totals, and a form for the next one. */
export async function ordersPage(app: FastifyInstance, { defaultCurrency }: { defaultCurrency: string }) {
  const { orders, scans } = app
  const readStats = sharing((orgId: string, from: string, to: string) =>
    scans.read(`${orgId} stats ${from} ${to}`, { orgId, userId: undefined }, () =>
      orders.orderStats(orgId, { from, to, now: app.clock.now() }),
    ),
  )

  /** Totals of very many orders take long, or longer than they may; the list does not wait for them. */
  function readTotals(request: FastifyRequest, currency: string | undefined) {
    const { from, to } = totalsRange(new Date(app.clock.now()))
    const totals = readStats(request.orgId, from, to).then(
      (stats) => totalsOf(JSON.parse(stats), from, currency),
      (error) => ({ unavailable: toldOf(error, request).message }),
    )
    return within(patienceMs, totals, {
      unavailable: 'They are still being added up: load the page again in a moment.',
    })
  }

  app.get('/', { schema: may.read('orders:read') }, async (request, reply) => {
    const { values, errors, filter } = readFilter(request.query)
    const { cursor } = readValues(request.query, ['cursor'])
    const refused = Object.keys(errors).length > 0
    const [list, totals] = await Promise.all([
      refused ? undefined : readPage(reply, { filter, limit: pageSize, cursor: cursor || undefined }),
      readTotals(request, filter.currency),
    ])
    return reply.code(refused ? 400 : 200).page('orders', {
      title: 'All orders',
      csrf: reply.csrfToken(),
      filter: { values, errors, active: listUrl(values) !== '/' },
      rows: list?.data.map(toRow),
      next: list?.next_cursor && listUrl(values, list.next_cursor),
      first: cursor && listUrl(values),
      totals,
      form: emptyForm(defaultCurrency),
      currencyOptions,
    })
  })
}

const toRow = ({ id, amount, currency, status, description, created_at }: Order) => ({
  id,
  amount: money(String(amount), currency),
  status,
  description,
  created: timeOf(created_at),
})
