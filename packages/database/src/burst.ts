import pg from 'pg'
import { commit } from './statements.ts'

/** A statement that is prepared once a connection: `name` is unique per text. */
export type Prepared = { name: string; text: string; values?: unknown[] }

type Callback = (error: Error | null, results: pg.QueryResult[]) => void

/** What pg calls of a query: its types leave it out. */
interface Query extends Required<Prepared> {
  callback: (error: Error | null, result: pg.QueryResult) => void
  submit(connection: pg.Connection): Error | null
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: Connection): void
  handleReadyForQuery(connection: Connection): void
}

interface Connection extends pg.Connection {
  close(statement: { type: 'S'; name: string }): void
  parsedStatements: Record<string, string>
  submittedNamedStatements: Record<string, string>
}

/**
 * Runs statements that leave in one packet, with one Sync behind them all: PostgreSQL runs them as one transaction,
 * unless they begin or end one, skips all that follow one that failed, and answers in one packet. pg by itself sends a
 * Sync behind each. Throws the error of the statement that failed; what the burst began stays open.
 */
export async function runBurst(client: pg.PoolClient, statements: Prepared[]): Promise<pg.QueryResult[]> {
  try {
    return await new Promise((resolve, reject) => {
      client.query(new Burst(client, statements, (error, results) => (error ? reject(error) : resolve(results))))
    })
  } catch (error) {
    Error.captureStackTrace(error as Error) // who asked, where pg tells who read the socket
    throw error
  }
}

class Burst {
  callback: Callback // pg wraps it to stop its clock
  private readonly queries: Query[]
  private readonly results: pg.QueryResult[] = []
  private answered = 0
  private fault: Error | null = null

  constructor(types: pg.PoolClient, statements: Prepared[], callback: Callback) {
    this.callback = callback
    this.queries = statements.map((statement) => {
      const query = new pg.Query({ ...statement, types }) as unknown as Query
      query.callback = (error, result) => {
        this.fault ??= error
        this.results.push(result)
      }
      return query
    })
  }

  submit(connection: pg.Connection): Error | null {
    const withoutSync: pg.Connection = Object.create(connection, { sync: { value: () => {} } })
    connection.stream.cork()
    try {
      for (const query of this.queries) {
        const misuse = query.submit(withoutSync) ?? this.fault
        if (misuse) return misuse
      }
      connection.sync()
      return null
    } finally {
      connection.stream.uncork()
    }
  }

  handleRowDescription(message: unknown): void {
    this.queries[this.answered]?.handleRowDescription(message)
  }

  handleDataRow(message: unknown): void {
    this.queries[this.answered]?.handleDataRow(message)
  }

  handleCommandComplete(message: unknown, connection: Connection): void {
    const query = this.queries[this.answered++] as Query
    query.handleCommandComplete(message, connection)
    connection.parsedStatements[query.name] = query.text
    delete connection.submittedNamedStatements[query.name]
  }

  /** PostgreSQL prepared none of the statements behind the one that failed, and perhaps that one: it closes either. */
  handleError(error: Error, connection: Connection): void {
    for (const { name } of this.queries.slice(this.answered)) {
      if (connection.submittedNamedStatements[name] === undefined) continue
      delete connection.submittedNamedStatements[name]
      connection.close({ type: 'S', name })
    }
    this.callback(error, [])
  }

  handleReadyForQuery(connection: Connection): void {
    for (const query of this.queries) query.handleReadyForQuery(connection)
    this.callback(this.fault, this.results)
  }
}

/** The rows of the last statement of a burst. */
export const lastRows = <Row extends object>(results: pg.QueryResult[]) => results.at(-1)?.rows as Row[]

/** COMMIT of a failed transaction is not an error to PostgreSQL: it answers ROLLBACK. */
export function assertCommitted(results: pg.QueryResult[]): void {
  const command = results.at(-1)?.command
  if (command !== commit.text) throw new Error(`the transaction ended with ${command}`)
}
