import { createHash, randomBytes } from 'node:crypto'
import { type Once, OrdersError } from '@orders/orders'
import {
  type NewWebhook,
  type OrderEventType,
  orderEventTypes,
  type WebhookWithSecret,
  webhookSignatures,
} from '@orders/schema'
import { type FieldErrors, readValues, textFault, type Values } from './fields.ts'
import { eventWords } from './history.ts'

const names = ['url', 'description', 'signature', 'key', ...orderEventTypes] as const

export type WebhookForm = { values: Values<(typeof names)[number]>; errors: FieldErrors; message?: string }

const keyPattern = /^[A-Za-z0-9_-]{16,255}$/

export const newKey = () => randomBytes(16).toString('base64url')

/** A checkbox an event type; none ticked means all. */
export const eventChoices = orderEventTypes.map((type) => ({ name: type, text: eventWords[type] }))

export const signatureOptions = [
  { value: 'ed25519', text: 'A key pair (ed25519)' },
  { value: 'hmac', text: 'A shared secret (HMAC)' },
]

/** An empty form. Its key makes it make one webhook at most, however often it is sent. */
export const emptyForm = (): WebhookForm => ({ values: { ...readValues({}, names), key: newKey() }, errors: {} })

/** The form as it was sent. */
export const sentForm = (body: unknown, errors: FieldErrors, message?: string): WebhookForm => {
  const values = readValues(body, names)
  const key = keyPattern.test(values.key) ? values.key : newKey()
  return { values: { ...values, key }, errors, ...(message !== undefined && { message }) }
}

/** Throws VALIDATION_FAILED with a fault a field. */
export function readWebhookForm(body: unknown): { asked: NewWebhook; key: string } {
  const values = readValues(body, names)
  const { url, description, signature, key } = values
  const errors: FieldErrors = {}
  const wrongUrl = url === '' ? 'Enter an address, such as https://example.com/orders.' : textFault(url, 2000)
  if (wrongUrl) errors.url = wrongUrl
  const wrongText = textFault(description, 200)
  if (wrongText) errors.description = wrongText
  const signing = webhookSignatures.find((it) => it === signature)
  if (!signing) errors.signature = 'Choose how messages are signed.'
  if (!keyPattern.test(key)) errors.key = 'The form has lost its key: send it again.'
  const faults = Object.entries(errors).map(([name, message]) => ({ path: `/${name}`, message }))
  if (faults.length > 0 || !signing) {
    throw new OrdersError('VALIDATION_FAILED', 'The webhook has not been added yet.', faults)
  }
  const types: OrderEventType[] = orderEventTypes.filter((type) => values[type] !== '')
  return {
    asked: {
      url,
      signature: signing,
      ...(description && { description }),
      event_types: types.length > 0 ? types : null,
    },
    key,
  }
}

/** A form's key stands for what the form asks for; the answer that is kept is the webhook with its secret. */
export function onceOfForm(principal: string, route: string, key: string, asked: unknown): Once<WebhookWithSecret> {
  const fingerprint = createHash('sha256').update(JSON.stringify(asked)).digest()
  const answerFor = (made: WebhookWithSecret) => ({ status: 201, headers: {}, body: JSON.stringify(made) })
  return { claim: { route, principal, key, fingerprint }, answerFor }
}
