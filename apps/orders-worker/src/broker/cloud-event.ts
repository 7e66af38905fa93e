import { type OrderRef, type QueuedEvent, toOrder, toRfc3339 } from '@orders/orders'
import { type OrderEventType, orderEventTypes } from '@orders/schema'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import rhea, { type Message } from 'rhea'

const contentType = 'application/cloudevents+json'
/** Far above any order; what is longer is not even parsed. */
const maxBytes = 256 * 1024
const maxVersion = 2 ** 31 - 1
const dataSection = 0x75

/** The attributes that ours have. Others may stand beside them: whoever passes an event on may add some. */
const Envelope = Type.Object({
  specversion: Type.Literal('1.0'),
  id: Type.String(),
  source: Type.String({ pattern: '^/orgs/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' }),
  type: Type.Unsafe<OrderEventType>(Type.Union(orderEventTypes.map((type) => Type.Literal(type)))),
  subject: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' }),
  sequence: Type.String({ pattern: '^[0-9]{10}$' }),
  data: Type.Object({}),
})

/**
 * An event as a message: CloudEvents 1.0 in structured mode. The group, a queue's partition or session where it has
 * them, is the order; the message id is the same whenever the event is sent again.
 */
export function toMessage(event: QueuedEvent): Message {
  const { org_id, id, version, type, updated_at } = event
  const envelope: Static<typeof Envelope> & Record<string, unknown> = {
    specversion: '1.0',
    id: `${id}.${version}`,
    source: `/orgs/${org_id}`,
    type,
    subject: id,
    time: toRfc3339(updated_at),
    sequence: String(version).padStart(10, '0'),
    datacontenttype: 'application/json',
    data: toOrder(event),
  }
  return {
    durable: true,
    message_id: `${org_id}/${id}.${version}`,
    group_id: `${org_id}/${id}`,
    subject: type,
    content_type: contentType,
    body: rhea.message.data_section(Buffer.from(JSON.stringify(envelope))),
  }
}

/** What a message says that `toMessage` made; undefined for any other. */
export function readMessage({ content_type, body }: Message): OrderRef | undefined {
  const bytes: unknown = body?.typecode === dataSection ? body.content : undefined
  if (content_type !== contentType || !Buffer.isBuffer(bytes) || bytes.length > maxBytes) return undefined
  const envelope = parse(bytes)
  if (!Value.Check(Envelope, envelope)) return undefined
  const { source, subject, sequence, type } = envelope
  const version = Number(sequence)
  if (version < 1 || version > maxVersion || envelope.id !== `${subject}.${version}`) return undefined
  return { org_id: source.slice('/orgs/'.length), id: subject, version, type }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}
