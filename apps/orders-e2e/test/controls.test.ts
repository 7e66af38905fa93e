import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'

const folder = join(import.meta.dirname, '../src/faults')

/** What Node says when it starts with a preload; nothing if the preload works. */
function preload(name: string): Promise<string> {
  const env = { PATH: process.env.PATH, ...preloaded(name) }
  return new Promise((resolve) => {
    execFile(process.execPath, ['--eval', ''], { env }, (error, _stdout, stderr) =>
      resolve(error ? stderr || error.message : ''),
    )
  })
}

/** All preloads that break sources, with each of the queries that they take. */
async function findPreloads(): Promise<string[]> {
  const files = (await readdir(folder)).filter((name) =>
    /^breakSources\(/m.test(readFileSync(join(folder, name), 'utf8')),
  )
  const found = files.map(async (name) => {
    const [, choices] = /nothing is none of (.*)/.exec(await preload(name)) ?? []
    return choices === undefined ? [name] : choices.split(', ').map((choice) => `${name}?${choice}`)
  })
  return (await Promise.all(found)).flat()
}

t.test('every service that is broken on purpose still finds the source that it breaks', async (t) => {
  const names = await findPreloads()
  t.ok(names.includes('without-token-rules.ts?forms'), 'queries are found')
  t.ok(names.includes('without-turns.ts'))
  const faults = await Promise.all(names.map(async (name) => ({ name, fault: await preload(name) })))
  t.strictSame(
    faults.filter(({ fault }) => fault !== ''),
    [],
  )
})

t.test('control: a source that has changed is found', async (t) => {
  const { href } = new URL('../src/faults/break-sources.ts', import.meta.url)
  const file = join(t.testdir({}), 'outdated.mjs')
  const text = `import { breakSources } from '${href}'\nbreakSources([['package.json', 'text that is not there', '']])`
  await writeFile(file, text)
  t.match(await preload(file), /package.json does not contain text that is not there: this control needs a change/)
})
