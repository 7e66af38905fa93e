import { readFileSync } from 'node:fs'
import { type Static, type TObject, type TSchema, type TUnsafe, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/** Settings that cannot be used. The message lists every fault, a line each, with what is expected. */
export class SettingsError extends Error {
  override name = 'SettingsError'
}

/** A setting that must not stand in a process listing: NAME_FILE names a file that holds it, NAME holds it itself. */
export const Secret = (options: { description: string; pattern?: string; examples?: string[]; default?: string }) =>
  Type.String({ ...options, minLength: 1, secret: true })

/** A setting that takes one of a few words. */
export const Choice = <const T extends string>(
  values: readonly T[],
  options: { description: string; default?: NoInfer<T> },
) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    options,
  ) as unknown as TUnsafe<T>

type Environment = Record<string, string | undefined>

/**
 * Reads the settings of a process: a property a variable of the environment, an empty variable counts as unset.
 * Throws a SettingsError that names all faults at once. The result is frozen.
 */
export function readSettings<T extends TObject>(schema: T, env: Environment): Static<T> {
  const faults: string[] = []
  const settings: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(schema.properties)) {
    const text = property.secret ? readSecret(name, env, faults) : env[name]
    if (text !== undefined && text !== '') settings[name] = convert(text.trim(), property)
    else if (property.default !== undefined) settings[name] = property.default
  }
  for (const { path, schema: property, value } of Value.Errors(schema, settings)) {
    const name = path.slice(1)
    if (faults.some((fault) => fault.startsWith(`${name} `) || fault.startsWith(`${name}_FILE `))) continue
    const found = property.secret ? 'what it is set to' : JSON.stringify(value)
    faults.push(
      value === undefined
        ? `${name} must be set${property.secret ? ` (or ${name}_FILE)` : ''}: ${property.description}`
        : `${name} must be ${expected(property)}, not ${found}: ${property.description}`,
    )
  }
  if (faults.length > 0) throw new SettingsError(`Cannot start with these settings:\n  ${faults.join('\n  ')}`)
  return Object.freeze(settings) as Static<T>
}

function readSecret(name: string, env: Environment, faults: string[]): string | undefined {
  const file = env[`${name}_FILE`]
  if (!file) return env[name]
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    faults.push(
      `${name}_FILE names a file that cannot be read (${(error as NodeJS.ErrnoException).code}): let this user read ${file}, or name another one`,
    )
    return undefined
  }
}

function convert(text: string, schema: TSchema): unknown {
  if (schema.type === 'integer' && /^-?\d{1,15}$/.test(text)) return Number(text)
  if (schema.type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

function expected(schema: TSchema): string {
  if (schema.anyOf) return choices(schema.anyOf)
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'boolean') return 'true or false'
  return schema.pattern ? `like ${schema.examples?.[0] ?? schema.pattern}` : 'a text'
}

function choices(literals: { const: string }[]): string {
  const words = literals.map((literal) => literal.const)
  return words.length > 12 ? `a known code such as ${words[0]}` : `one of ${words.join(', ')}`
}

/** The settings as a table for --help: name, default, what it does. */
export function settingsHelp(schema: TObject): string {
  const rows = Object.entries(schema.properties).map(([name, property]) => {
    const label = property.secret ? `${name}, ${name}_FILE` : name
    const value =
      property.default !== undefined ? String(property.default) : schema.required?.includes(name) ? 'required' : ''
    return [label, value, property.description ?? ''] as const
  })
  const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length))
  return rows.map(([name, value, help]) => `  ${name.padEnd(width(0))}  ${value.padEnd(width(1))}  ${help}`).join('\n')
}
