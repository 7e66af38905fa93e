import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { Choice, readSettings, Secret, SettingsError, settingsHelp } from '../src/index.ts'

const Settings = Type.Object({
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8000, description: 'Port to listen on.' }),
  URL: Secret({ description: 'Address of the database.' }),
  LEVEL: Choice(['info', 'warn'], { default: 'warn', description: 'Least severe line.' }),
  PROXIES: Type.Optional(
    Type.String({ pattern: '^[0-9.]+$', examples: ['10.0.0.1'], description: 'Who is believed.' }),
  ),
  PLAIN: Type.Boolean({ default: false, description: 'Without colours.' }),
})

function faultsOf(env: Record<string, string>): string[] {
  try {
    readSettings(Settings, env)
  } catch (error) {
    if (error instanceof SettingsError)
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim())
    throw error
  }
  return []
}

t.test('settings have their types and defaults, and stay as they are', async (t) => {
  const settings = readSettings(Settings, { URL: 'postgresql://a', PORT: ' 80 ', PLAIN: 'true', LEVEL: '', OTHER: 'x' })
  t.same(settings, { URL: 'postgresql://a', PORT: 80, PLAIN: true, LEVEL: 'warn' })
  t.throws(() => {
    settings.PORT = 81
  }, TypeError)
})

t.test('all faults are told at once, a line each, and no secret among them', async (t) => {
  const faults = faultsOf({ PORT: '80.5', LEVEL: 'loud', PROXIES: 'x y', PLAIN: 'yes' })
  t.equal(faults.length, 5)
  t.match(faults.sort(), [
    /^LEVEL must be one of info, warn, not "loud": Least severe line\.$/,
    /^PLAIN must be true or false, not "yes"/,
    /^PORT must be a whole number from 0 to 65535, not "80\.5"/,
    /^PROXIES must be like 10\.0\.0\.1, not "x y"/,
    /^URL must be set \(or URL_FILE\): Address of the database\.$/,
  ])
  for (const PORT of ['65536', '-1', '0x50', '1e3', 'eighty', '80 81'])
    t.equal(faultsOf({ URL: 'a', PORT }).length, 1, PORT)
  t.match(faultsOf({ URL: 'hunter2', PORT: 'x' }).join(), /^(?!.*hunter2)/)
})

t.test('a secret comes from a file, which wins over the variable', async (t) => {
  const folder = t.testdir({ url: 'postgresql://file\n', empty: '' })
  const file = join(folder, 'url')
  t.equal(readSettings(Settings, { URL_FILE: file }).URL, 'postgresql://file')
  t.equal(readSettings(Settings, { URL_FILE: file, URL: 'postgresql://variable' }).URL, 'postgresql://file')
  t.equal(readSettings(Settings, { URL_FILE: '', URL: 'postgresql://variable' }).URL, 'postgresql://variable')
  t.match(faultsOf({ URL_FILE: join(folder, 'none') }), [/^URL_FILE names a file that cannot be read \(ENOENT\)/])
  t.match(faultsOf({ URL_FILE: folder }), [/^URL_FILE .*\(EISDIR\)/])
  t.match(faultsOf({ URL_FILE: join(folder, 'empty') }), [/^URL must be set/])
  t.same(faultsOf({ URL: 'a', PORT_FILE: join(folder, 'none') }), [], 'only secrets have files')
})

t.test('help lists each setting with its default and its meaning', async (t) => {
  const lines = settingsHelp(Settings).split('\n')
  t.equal(lines.length, 5)
  t.match(lines[0], /^ {2}PORT +8000 +Port to listen on\.$/)
  t.match(lines[1], /^ {2}URL, URL_FILE +required +Address/)
  t.match(lines[3], /^ {2}PROXIES {2,}Who is believed\.$/)
  t.equal(new Set(lines.map((line) => line.search(/[A-Z][a-z]+ /))).size, 1, 'in columns')
})
