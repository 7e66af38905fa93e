import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { contractionFault } from './contractions.ts'
import { migrationSql } from './migration-sql.ts'

/** Rules of squawk that are off, each with its reason; all others are on. */
const excluded: Record<string, string> = {
  'prefer-bigint-over-int': 'versions and sequences count the changes of one order, which stay far below 2^31',
  'require-lock-timeout': 'migrate.ts sets it for the connection',
  'require-statement-timeout': 'a migration that a clock ends could never complete; other rules keep slow ones out',
  'require-table-schema': 'the search path of the address decides, so that one server can hold several copies',
}

const folder = process.argv[2]
const scripts = await migrationSql(folder && resolve(folder))
const squawk = createRequire(import.meta.url).resolve('squawk-cli/js/bin/squawk')
let refused = 0
for (const [name, { text, concurrent }] of scripts) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      squawk,
      '--pg-version=18.0',
      ...(concurrent ? [] : ['--assume-in-transaction']),
      ...Object.keys(excluded).map((rule) => `--exclude=${rule}`),
      `--stdin-filepath=${name}.sql`,
      '--reporter=gcc',
    ],
    { input: text, encoding: 'utf8' },
  )
  const fault = contractionFault(name, text)
  if (fault) console.log(fault)
  if (status !== 0 || fault) refused++
  if (status !== 0) {
    console.log(`${stdout}${stderr}\n-- ${name}, line by line:`)
    console.log(text.replace(/^/gm, numbered()))
  }
}
console.log(`${scripts.size} migrations, ${refused} refused`)
if (refused > 0 || scripts.size === 0) process.exitCode = 1

function numbered(): () => string {
  let line = 0
  return () => `${String(++line).padStart(4)}  `
}
