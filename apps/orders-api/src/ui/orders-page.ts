import type { Order } from '@orders/schema'
import type { FastifyInstance } from 'fastify'
import { toldOf } from '../plugins/problems.ts'
import { readValues } from './fields.ts'
import { listUrl, readFilter } from './filter-form.ts'
import { money } from './money.ts'
import { currencyOptions, emptyForm } from './place-form.ts'
import { timeOf } from './time.ts'
import { totalsOf, totalsRange } from './totals.ts'

const pageSize = 25

/** The orders of the organisation: a filtered page of them, their totals, and a form for the next one. */
export async function ordersPage(app: FastifyInstance, { defaultCurrency }: { defaultCurrency: string }) {
  const { orders } = app

  app.get('/', async (request, reply) => {
    const { values, errors, filter } = readFilter(request.query)
    const { cursor } = readValues(request.query, ['cursor'])
    const { from, to } = totalsRange(new Date())
    const refused = Object.keys(errors).length > 0
    const [list, totals] = await Promise.all([
      refused ? undefined : orders.listOrders(request.orgId, { filter, limit: pageSize, cursor: cursor || undefined }),
      // Totals of very many orders may take too long; the list does without.
      orders.orderStats(request.orgId, from, to).then(
        (stats) => totalsOf(stats, from, filter.currency),
        (error) => ({ unavailable: toldOf(error, request).message }),
      ),
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
