import type { Database } from '@orders/database'
import type { QuotaUse } from '@orders/schema'
import { selectUse } from './quota-repository.ts'
import { type QuotaName, type Quotas, quotaNames } from './quotas.ts'

/** Reads what an organisation uses of each quota. */
export function createUsage(database: Database, quotas: Quotas) {
  return async function readUsage(orgId: string): Promise<QuotaUse[]> {
    const [use] = await database.readInTenant<Record<QuotaName, number>>(orgId, selectUse(orgId))
    return quotaNames.map((name) => ({ name, used: use?.[name] ?? 0, limit: quotas[name] }))
  }
}
