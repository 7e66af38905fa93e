/** Writes the settings that `--help` of the service lists into the README: run it after a setting changed. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../../..')

/** The list of settings in what `--help` of the service prints, without its indentation. */
export function settingsInHelp(): string {
  const server = 'apps/orders-api/src/server.ts'
  const help = execFileSync(process.execPath, [server, '--help'], { cwd: root, encoding: 'utf8' })
  const [, list] = /^Settings.*:\n([\s\S]+)/m.exec(help) ?? []
  if (list === undefined) throw new Error(`${server} --help has no line that begins the settings: mend one of the two.`)
  return list.trimEnd().replace(/^ {2}/gm, '')
}

if (import.meta.main) {
  const file = join(root, 'README.md')
  const block = /(^```text settings\n)[\s\S]*?(^```$)/m
  const text = readFileSync(file, 'utf8').replace(block, (_, open, close) => `${open}${settingsInHelp()}\n${close}`)
  writeFileSync(file, text)
}
