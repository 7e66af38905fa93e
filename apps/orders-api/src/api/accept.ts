import { OrdersError } from '@orders/orders'

/** The one of `types` that an Accept header likes best, the first if it does not care. Throws NOT_ACCEPTABLE. */
export function acceptedType<const T extends string>(header: string | undefined, types: readonly T[]): T {
  const ranges = (header ?? '*/*').toLowerCase().split(',').map(rangeOf)
  const quality = (type: string) => {
    const matching = ranges.filter(({ range }) => range === type || range === '*/*' || range === `${majorOf(type)}/*`)
    // The most specific range decides (RFC 9110): a full type has no star, and a family one star less than all.
    matching.sort((a, b) => stars(a.range) - stars(b.range))
    return matching[0]?.q ?? 0
  }
  const best = types.reduce((a, b) => (quality(b) > quality(a) ? b : a))
  if (quality(best) > 0) return best
  throw new OrdersError('NOT_ACCEPTABLE', `This route answers with ${types.join(' or ')}.`)
}

const majorOf = (type: string) => type.split('/', 1)[0]
const stars = (range: string) => range.split('*').length

function rangeOf(text: string) {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim())
  const q = parameters.find((parameter) => parameter.startsWith('q='))
  return { range, q: q === undefined ? 1 : Number(q.slice(2)) || 0 }
}
