import { isIndexed, type Orders } from '@orders/orders'
import type { FastifyReply } from 'fastify'

type Page = Parameters<Orders['listOrders']>[1]

/** Reads a page of the organisation's orders, as a scan if no index serves its filter. Throws CURSOR_INVALID. */
export function readPage(reply: FastifyReply, page: Page): ReturnType<Orders['listOrders']> {
  const { orgId, server } = reply.request
  const { listOrders } = server.orders
  if (isIndexed(page.filter)) return listOrders(orgId, page)
  return reply.scan(`list ${JSON.stringify(page)}`, (signal) => listOrders(orgId, page, signal))
}
