import type { Orders } from '@orders/orders'
import type { Feed } from './reader.ts'

type Held = { feed: Promise<Feed>; holders: number }

/** The feeds of organisations that someone listens to. A feed is a promise while its position is read. */
export function createFeeds(orders: Pick<Orders, 'newestPosition'>) {
  const feeds = new Map<string, Held>()

  /**
   * The feed of the organisation, which begins at its newest event, until the returned function is called by everyone who
   * holds it. Rejects, and is not held, if the position cannot be read.
   */
  async function hold(orgId: string): Promise<{ feed: Feed; release: () => void }> {
    const held = feeds.get(orgId) ?? { feed: create(orgId), holders: 0 }
    feeds.set(orgId, held)
    held.holders++
    const release = () => {
      held.holders--
      if (held.holders === 0 && feeds.get(orgId) === held) feeds.delete(orgId)
    }
    try {
      return { feed: await held.feed, release }
    } catch (error) {
      release()
      throw error
    }
  }

  async function create(orgId: string): Promise<Feed> {
    return { position: await orders.newestPosition(orgId), readers: new Set(), reading: undefined, again: false }
  }

  /** Calls back with the feed of the organisation, or with each feed, once its position is known. */
  function each(orgId: string | undefined, use: (orgId: string, feed: Feed) => void): void {
    for (const id of orgId ? [orgId] : feeds.keys()) {
      // If the position cannot be read, the request that asked for the feed fails, and nobody else waits for it.
      feeds.get(id)?.feed.then(
        (feed) => use(id, feed),
        () => {},
      )
    }
  }

  return { hold, each }
}
