import type { Database } from '@orders/database'
import {
  type Delivery,
  type DeliveryPage,
  type NewWebhook,
  type PageQuery,
  type Webhook,
  type WebhookPage,
  type WebhookPatch,
  type WebhookWithSecret,
  webhookTestType,
} from '@orders/schema'
import { createCursors, readCursorKey } from './cursor.ts'
import { OrdersError } from './errors.ts'
import { messageIdOf } from './message-id.ts'
import { readPage, withTimes } from './named.ts'
import { type Made, makeOnce, type Once } from './once.ts'
import { lockOrg } from './people-repository.ts'
import { countRows } from './quota-repository.ts'
import { assertRoom, defaultQuotas, type Quotas } from './quotas.ts'
import { newWebhookKey, publicKeyOf, secretOf } from './webhook-keys.ts'
import {
  type DeliveryRow,
  deleteWebhook,
  insertTest,
  insertWebhook,
  lockWebhook,
  replaceKey,
  resendDelivery,
  selectDeliveries,
  selectDelivery,
  selectWebhook,
  selectWebhooks,
  updateWebhook,
  type WebhookRow,
} from './webhook-repository.ts'

type Options = {
  database: Database
  /** Says why nothing may be sent to an address, or undefined. */
  checkUrl: (url: string) => Promise<string | undefined>
  quotas?: Quotas
}

export type Webhooks = Awaited<ReturnType<typeof createWebhooks>>

const overlapHours = 24

/** The use cases of webhooks: whom to tell of orders, and what came of telling them. */
export async function createWebhooks({ database, checkUrl, quotas = defaultQuotas }: Options) {
  const cursors = createCursors(await readCursorKey(database))

  async function assertUrl(url: string): Promise<void> {
    const message = await checkUrl(url)
    if (message) throw new OrdersError('WEBHOOK_URL_REFUSED', message, [{ path: '/url', message }])
  }

  /** Throws ORG_NOT_FOUND, WEBHOOK_URL_REFUSED, QUOTA_EXCEEDED, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_FLIGHT. */
  async function createWebhook(
    orgId: string,
    asked: NewWebhook,
    once?: Once<WebhookWithSecret>,
  ): Promise<Made<WebhookWithSecret>> {
    await assertUrl(asked.url)
    const key = newWebhookKey(asked.signature ?? 'ed25519')
    return makeOnce(database, orgId, once, async (trx) => {
      await lockOrg(trx, orgId)
      assertRoom('webhooks', await countRows(trx, 'webhooks', orgId), quotas)
      return withSecret(await insertWebhook(trx, orgId, asked, key))
    })
  }

  /** Newest first. Throws CURSOR_INVALID. */
  async function listWebhooks(orgId: string, query: PageQuery): Promise<WebhookPage> {
    const page = await readPage(cursors, `webhooks ${orgId}`, query, idOf<WebhookRow>, (after, rows) =>
      database.readInTenant<WebhookRow>(orgId, selectWebhooks(orgId, after, rows)),
    )
    return { ...page, data: page.data.map(toWebhook) }
  }

  /** Throws WEBHOOK_NOT_FOUND. */
  async function getWebhook(orgId: string, id: string): Promise<Webhook> {
    const [row] = await database.readInTenant<WebhookRow>(orgId, selectWebhook(orgId, id))
    return toWebhook(withTimes(row ?? notFound(id)))
  }

  /**
   * Changes a webhook that still has a version that `isCurrent` accepts. Throws WEBHOOK_NOT_FOUND, PRECONDITION_FAILED,
   * WEBHOOK_URL_REFUSED.
   */
  async function changeWebhook(
    orgId: string,
    id: string,
    patch: WebhookPatch,
    isCurrent: (version: number) => boolean,
  ): Promise<Webhook> {
    if (patch.url !== undefined) await assertUrl(patch.url)
    const row = await database.inTenant(orgId, async (trx) => {
      const { version } = (await lockWebhook(trx, orgId, id)) ?? notFound(id)
      if (!isCurrent(version)) {
        throw new OrdersError('PRECONDITION_FAILED', `The webhook is at version ${version} now.`)
      }
      return updateWebhook(trx, orgId, id, patch)
    })
    return toWebhook(withTimes(row))
  }

  /** Gives it a new key; the present one signs as well for 24 hours. Throws WEBHOOK_NOT_FOUND and those of keys. */
  async function rotateSecret(
    orgId: string,
    id: string,
    once?: Once<WebhookWithSecret>,
  ): Promise<Made<WebhookWithSecret>> {
    return makeOnce(database, orgId, once, async (trx) => {
      const { signature } = (await lockWebhook(trx, orgId, id)) ?? notFound(id)
      const row = await replaceKey(trx, orgId, id, newWebhookKey(signature), overlapHours)
      return withSecret(row ?? notFound(id))
    })
  }

  /** What is pending for it is not sent any more. Throws WEBHOOK_NOT_FOUND. */
  async function removeWebhook(orgId: string, id: string): Promise<void> {
    const gone = await database.runInTenant(orgId, deleteWebhook(orgId, id))
    if (gone.length === 0) notFound(id)
  }

  /** Queues a message that is no event of an order. Throws WEBHOOK_NOT_FOUND, WEBHOOK_DISABLED. */
  async function testWebhook(orgId: string, id: string): Promise<Delivery> {
    const [row] = await database.runInTenant<DeliveryRow>(orgId, insertTest(orgId, id, webhookTestType))
    if (row) return toDelivery(orgId, withTimes(row))
    await getWebhook(orgId, id)
    throw disabled()
  }

  /** Newest first. Throws WEBHOOK_NOT_FOUND, CURSOR_INVALID. */
  async function listDeliveries(orgId: string, webhookId: string, query: PageQuery): Promise<DeliveryPage> {
    await getWebhook(orgId, webhookId)
    const page = await readPage(cursors, `deliveries ${orgId} ${webhookId}`, query, idOf<DeliveryRow>, (after, rows) =>
      database.readInTenant<DeliveryRow>(orgId, selectDeliveries(orgId, webhookId, after, rows)),
    )
    return { ...page, data: page.data.map((row) => toDelivery(orgId, row)) }
  }

  /** Makes a delivery due now. Throws DELIVERY_NOT_FOUND, WEBHOOK_DISABLED. */
  async function resend(orgId: string, id: string): Promise<Delivery> {
    const [row] = await database.runInTenant<DeliveryRow>(orgId, resendDelivery(orgId, id))
    if (row) return toDelivery(orgId, withTimes(row))
    const [found] = await database.readInTenant<DeliveryRow>(orgId, selectDelivery(orgId, id))
    throw found ? disabled() : new OrdersError('DELIVERY_NOT_FOUND', `There is no delivery ${id}.`)
  }

  return {
    createWebhook,
    listWebhooks,
    getWebhook,
    changeWebhook,
    rotateSecret,
    removeWebhook,
    testWebhook,
    listDeliveries,
    resend,
  }
}

const idOf = <Row extends { id: string }>({ id }: Row) => id

/** A webhook as it may be shown: with its public keys, and without any other. */
function toWebhook({ key, previous_key, ...row }: WebhookRow): Webhook {
  const isPublic = row.signature === 'ed25519'
  return {
    ...(row as Omit<Webhook, 'public_key' | 'previous_public_key'>),
    public_key: isPublic ? publicKeyOf(key) : null,
    previous_public_key: isPublic && previous_key ? publicKeyOf(previous_key) : null,
  }
}

const withSecret = (row: WebhookRow): WebhookWithSecret => ({
  ...toWebhook(withTimes(row)),
  secret: row.signature === 'hmac' ? secretOf(row.key) : null,
})

const toDelivery = (orgId: string, row: DeliveryRow): Delivery => ({
  ...row,
  event_id: messageIdOf({ ...row, org_id: orgId }),
})

function notFound(id: string): never {
  throw new OrdersError('WEBHOOK_NOT_FOUND', `There is no webhook ${id}.`)
}

const disabled = () => new OrdersError('WEBHOOK_DISABLED', 'Nothing is sent to a webhook that is disabled.')
