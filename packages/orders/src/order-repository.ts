import type { Statement, Tables } from '@orders/database'
import type { OrderFilter } from '@orders/schema'
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
  type Transaction,
} from 'kysely'
import type { Position } from './cursor.ts'
import { orderColumns } from './row.ts'
import { prepared } from './statement.ts'

/** Builds queries that leave through runInTenant. */
const queries = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
})

const columns = orderColumns.join(', ')

export function selectOrders(orgId: string, ids: string[]): Statement {
  return {
    name: 'select_orders',
    text: `SELECT ${columns} FROM orders WHERE org_id = $1 AND id = ANY($2)`,
    values: [orgId, ids],
    onePlan: true,
  }
}

/** Newest first; one row more than `limit` tells that there is a next page. */
export function selectPage(orgId: string, filter: OrderFilter, limit: number, after?: Position): Statement {
  let query = filtered(queries, orgId, filter).select(orderColumns)
  if (after) {
    query = query.where(sql<boolean>`(created_at, id) < (${after.created_at}::timestamptz, ${after.id})`)
  }
  const page = query
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
  // The best plan of a filter depends on its values, such as the text that is searched.
  return { ...prepared(page.compile()), onePlan: Object.values(filter).every((value) => value === undefined) }
}

export function filtered(db: Kysely<Tables>, orgId: string, filter: OrderFilter) {
  let query = db.selectFrom('orders').where('org_id', '=', orgId)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.currency !== undefined) query = query.where('currency', '=', filter.currency)
  if (filter.project_id !== undefined) query = query.where('project_id', '=', filter.project_id)
  if (filter.created_from !== undefined) query = query.where('created_at', '>=', filter.created_from)
  if (filter.created_to !== undefined) query = query.where('created_at', '<', filter.created_to)
  if (filter.amount_min !== undefined) query = query.where('amount', '>=', String(filter.amount_min))
  if (filter.amount_max !== undefined) query = query.where('amount', '<=', String(filter.amount_max))
  if (filter.q !== undefined) {
    const text = filter.q.replace(/[\\%_]/g, '\\$&')
    query = query.where((eb) => eb.or([eb('id', 'like', `${text}%`), eb('description', 'ilike', `%${text}%`)]))
  }
  return query
}

export function lockOrder(trx: Transaction<Tables>, orgId: string, id: string) {
  return trx
    .selectFrom('orders')
    .select(orderColumns)
    .where('org_id', '=', orgId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
}

export type Change = { status?: string; description?: string | null; metadata?: string }

/** Writes the change with the next version, which only the holder of the row's lock may do. */
export function updateOrder(trx: Transaction<Tables>, orgId: string, id: string, change: Change) {
  return trx
    .updateTable('orders')
    .set((eb) => ({ ...change, version: eb('version', '+', 1), updated_at: sql`now()` }))
    .where('org_id', '=', orgId)
    .where('id', '=', id)
    .returning(orderColumns)
    .executeTakeFirstOrThrow()
}
