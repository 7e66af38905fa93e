import { join } from 'node:path'
import {
  type DatabaseConnection,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely'
import type { Migration } from 'kysely/migration'
import { isConcurrent, migrationFolder, migrationNamesIn } from './migrate.ts'

/** Takes down what a migration would run, and answers every statement with no rows. */
class RecordingDriver extends DummyDriver {
  readonly statements: string[] = []

  override async acquireConnection(): Promise<DatabaseConnection> {
    return {
      executeQuery: async ({ sql, parameters }) => {
        if (parameters.length > 0) throw new Error(`a migration holds its values in its text: ${sql}`)
        this.statements.push(outdent(sql))
        return { rows: [] }
      },
      streamQuery: async function* () {},
    }
  }
}

type Script = { text: string; concurrent: boolean }

/** The SQL of each migration of a folder by its name, oldest first; needs no database. */
export async function migrationSql(folder = migrationFolder): Promise<Map<string, Script>> {
  const scripts = new Map<string, Script>()
  for (const name of migrationNamesIn(folder)) {
    const driver = new RecordingDriver()
    const db = new Kysely<unknown>({
      dialect: {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => driver,
        createIntrospector: (db) => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
    })
    const migration: Migration = await import(join(folder, `${name}.ts`))
    await migration.up(db)
    scripts.set(name, { text: `${driver.statements.join(';\n\n')};\n`, concurrent: isConcurrent(migration) })
  }
  return scripts
}

function outdent(text: string): string {
  const indent = /\n( *)\S/.exec(text)?.[1] ?? ''
  return text.replaceAll(`\n${indent}`, '\n').trim()
}
