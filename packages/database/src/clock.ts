import type { Database } from './database.ts'

/** Milliseconds that only go forward, for durations; and the instant by the database's clock, since 1970. */
export type Clock = {
  elapsed(): number
  now(): number
  /** Asks the database for its instant: whatever was committed before is not later. */
  read(): Promise<number>
}

const statement = {
  name: 'clock',
  text: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
  values: [],
}

/**
 * The clock of the database, which all processes share, without a question for each look: this process counts on from
 * its last answer. Until the first one, it is the time at which the process started, and what has passed since.
 */
export function createDatabaseClock(
  database: Pick<Database, 'runGlobal'>,
  elapsed: () => number = () => performance.now(),
): Clock {
  let origin = performance.timeOrigin + performance.now() - elapsed()
  return {
    elapsed,
    now: () => origin + elapsed(),
    async read() {
      const before = elapsed()
      const [row] = await database.runGlobal<{ now: number }>(statement)
      const { now } = row as { now: number }
      origin = now - (before + elapsed()) / 2 // it was read half-way, as far as one can tell
      return now
    },
  }
}
