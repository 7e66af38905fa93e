import { isDeepStrictEqual } from 'node:util'
import { errorCatalogue, type Order } from '@orders/schema'
import type { Answer, Service } from '../service.ts'
import type { Case } from './requests.ts'

/** Says what is wrong with the answer to a request, if anything. */
export async function faultIn(asked: Case, service: Service): Promise<string | undefined> {
  const { method, path, headers, body } = asked
  const answer = await service.send(method, path, { headers, ...(body !== undefined && { body }) }).catch(String)
  if (typeof answer === 'string') return `not answered: ${answer}`
  const { status } = answer
  if (status >= 500) return `answered ${status}: ${answer.text.slice(0, 300)}`
  if (!asked.statuses.includes(status)) return `answered ${status}, which the document does not list`
  if (status >= 400) {
    // What is there decides, not the request.
    const isOfState = [404, 409, 422].includes(status) || answer.json?.error === 'QUOTA_EXCEEDED'
    if (asked.expect === 'accept' && !isOfState) return `refused a right request: ${answer.text}`
    // The error pages are for people.
    return method === 'HEAD' || path.startsWith('/errors/') ? undefined : faultInProblem(answer)
  }
  if (asked.expect === 'refuse') return `accepted silently with ${status}: ${answer.text.slice(0, 300)}`
  const isPlacing = method === 'POST' && /\/orders(\?|$)/.test(path)
  if (isPlacing) {
    const { authorization } = headers
    const found = await service.send('GET', `/orders/${answer.json.id}`, { headers: { authorization } })
    return faultInOrder(String(body), found.json, true)
  }
  return method === 'PATCH' ? faultInOrder(String(body), answer.json, false) : undefined
}

function faultInProblem({ status, headers, json }: Answer): string | undefined {
  if (headers['content-type'] !== 'application/problem+json') return `refused as ${headers['content-type']}`
  const entry = errorCatalogue[json.error as keyof typeof errorCatalogue]
  if (!entry) return `refused with the unknown code ${json.error}`
  const { type, title, message, detail, request_id } = json
  const expected = {
    status: entry.status,
    type: `/errors/${json.error}`,
    title: entry.title,
    id: headers['x-request-id'],
  }
  const found = { status: json.status, type, title, id: request_id }
  if (!isDeepStrictEqual(found, expected) || status !== entry.status)
    return `refused inconsistently: ${JSON.stringify(json)}`
  if (!detail || detail !== message || /\bat .*:\d+:\d+|node_modules/.test(detail))
    return `refused in bad words: ${detail}`
  return status === 405 && !headers.allow ? 'refused a method without Allow' : undefined
}

/** Compares what was sent, digit by digit, with the order that is there now. */
function faultInOrder(text: string, order: Order, isNew: boolean): string | undefined {
  const sent = JSON.parse(text, (key, value, context?: { source?: string }) =>
    key === 'amount' ? decimal(context?.source ?? '') : value,
  )
  const defaults = isNew ? { currency: 'EUR', description: null, metadata: {}, status: 'placed', project_id: null } : {}
  const found = { ...order, amount: decimal(String(order.amount)) }
  for (const [name, value] of Object.entries({ ...defaults, ...sent })) {
    if (!isDeepStrictEqual(found[name as keyof Order], value)) {
      return `changed ${name} silently: sent ${text.slice(0, 300)}, stored ${JSON.stringify(order)}`
    }
  }
  return undefined
}

/** A number's exact value in one spelling: 12345e-2 and 123.450 are both 12345e-2. */
function decimal(text: string): string {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const digits = `${whole}${fraction}`.replace(/^(-?)0+/, '$1')
  const significant = digits.replace(/0+$/, '')
  return `${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`
}
