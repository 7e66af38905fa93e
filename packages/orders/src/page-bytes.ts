import type { Order, OrderEvent } from '@orders/schema'

/** Bytes of JSON that a page holds at most, unless its only item is larger. */
export const maxPageBytes = 1024 * 1024

/** Returns a function that reports whether an item still fits into the page, and counts it. The first one always fits. */
export function createRoom(maxBytes = maxPageBytes) {
  let bytes = 0
  let count = 0
  return (item: Order | OrderEvent): boolean => {
    bytes += bytesOf(item)
    return count++ === 0 || bytes <= maxBytes
  }
}

/** Exact for a large item. A small one counts as the most that its texts can take: measuring it would cost more. */
function bytesOf(item: Order | OrderEvent): number {
  const { description, metadata } = 'data' in item ? (item.data as Order) : item
  let length = description?.length ?? 0
  for (const name in metadata) length += name.length + (metadata[name]?.length ?? 0)
  return length < smallText ? fixedBytes + length * maxBytesOfCharacter : Buffer.byteLength(JSON.stringify(item))
}

const smallText = 500
/** More than the names and the other values of an item take, with 50 pairs of metadata. */
const fixedBytes = 1024
/** An escape such as \\u2028. */
const maxBytesOfCharacter = 6
