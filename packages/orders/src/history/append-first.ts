import type { Outcome } from '../relay.ts'
import type { QueuedEvent } from '../relay-repository.ts'
import { toEvent } from '../row.ts'
import type { EventStore, StoredEvent } from './event-store.ts'

/**
 * Appends events to the history, and then hands them on. One that the history did not take is handed on nevertheless,
 * since what follows from it must not wait for a copy; it counts as failed, so that both are tried again.
 */
export function appendFirst(history: EventStore, handOn: (events: QueuedEvent[]) => Promise<Outcome[]>) {
  return async (events: QueuedEvent[]): Promise<Outcome[]> => {
    const appended = await history.append(events.map(toStored))
    const handed = await handOn(events)
    return events.map((_event, i) => handed[i] ?? appended[i])
  }
}

function toStored(queued: QueuedEvent): StoredEvent {
  return { ...toEvent({ ...queued, event_id: `${queued.id}.${queued.version}` }), org_id: queued.org_id }
}
