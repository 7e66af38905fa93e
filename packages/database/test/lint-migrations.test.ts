import t from 'tap'
import { run } from './run.ts'

t.test('a migration that would stop the service is refused', async (t) => {
  const plant = (statement: string, more = '') => {
    const folder = t.testdir({
      '0009-planted.ts': `import { sql } from 'kysely'\nexport const up = async (db) => void (await sql\`${statement}\`.execute(db))\n${more}`,
    })
    return run('lint-migrations', [folder])
  }
  for (const [statement, rule] of [
    ['CREATE INDEX planted ON orders (status)', 'require-concurrent-index-creation'],
    ['ALTER TABLE orders DROP COLUMN description', 'ban-drop-column'],
    ['ALTER TABLE orders ADD COLUMN planted uuid NOT NULL DEFAULT gen_random_uuid()', 'adding-field-with-default'],
    ['ALTER TABLE orders ADD COLUMN planted text NOT NULL', 'adding-required-field'],
    ['ALTER TABLE orders ALTER COLUMN amount TYPE float8', 'changing-column-type'],
    ['ALTER TABLE orders RENAME COLUMN amount TO sum', 'renaming-column'],
    ['ALTER TABLE orders ADD CONSTRAINT planted CHECK (amount > 1)', 'constraint-missing-not-valid'],
    ['ALTER TABLE orders ADD PLANTED', 'syntax-error'],
  ] as const) {
    const { out, code } = await plant(statement)
    t.equal(code, 1, statement)
    t.match(out, `${rule} `, rule)
    t.match(out, '1 migrations, 1 refused\n')
  }
  const concurrently = 'SELECT 1; CREATE INDEX CONCURRENTLY IF NOT EXISTS planted ON orders (status)'
  t.match(await plant(concurrently), { code: 1, out: /ban-concurrent-index-creation-in-transaction / })
  t.match(await plant(concurrently, 'export const concurrent = true'), { code: 0 })
  t.match(await plant('ALTER TABLE orders ADD COLUMN planted text'), { code: 0, out: '1 migrations, 0 refused\n' })
  t.match(
    await run('lint-migrations', [t.testdir({})]),
    { code: 1, out: '0 migrations, 0 refused\n' },
    'nor is nothing',
  )
  t.match(await run('lint-migrations', []), { code: 0, out: / 0 refused\n$/ }, 'the released ones pass')
})

t.test('a contraction names the migration that it follows', async (t) => {
  const lint = (name: string, statement: string) => {
    const text = `import { sql } from 'kysely'\nexport const up = async (db) => void (await sql\`${statement}\`.execute(db))\n`
    return run('lint-migrations', [t.testdir({ [`${name}.ts`]: text })])
  }
  for (const statement of [
    '-- squawk-ignore renaming-column\nALTER TABLE orders RENAME COLUMN amount TO sum',
    '-- squawk-ignore require-timeout-settings, ban-drop-column\nALTER TABLE orders DROP COLUMN amount',
  ]) {
    t.match(await lint('0012-planted', statement), { code: 1, out: /end its name in \.after-NNNN/ })
    t.match(await lint('0012-planted.after-0011', statement), { code: 0, out: '1 migrations, 0 refused\n' })
    t.match(await lint('0012-planted.after-0012', statement), { code: 1, out: /must follow the migration/ })
  }
})
