import type { Fault } from '@orders/orders'

/** What a form sent, or a query: every value a trimmed text, '' if it is missing or stands twice. */
export type Values<Name extends string> = Record<Name, string>

/** The first fault of each field, by its name. */
export type FieldErrors = Record<string, string>

export function readValues<Name extends string>(input: unknown, names: readonly Name[]): Values<Name> {
  const given = (input ?? {}) as Record<string, unknown>
  const read = (name: Name) => (typeof given[name] === 'string' ? given[name].trim() : '')
  return Object.fromEntries(names.map((name) => [name, read(name)])) as Values<Name>
}

/** Faults of a refusal by field; those of no field of the form belong to the whole of it. */
export function errorsOf(faults: Fault[] = []): FieldErrors {
  return Object.fromEntries(faults.toReversed().map(({ path, message }) => [path.replace(/^\//, ''), message]))
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const control = /[\u0000-\u001f\u007f]/

/** What is wrong with a one-line text, if anything. */
export function textFault(text: string, maxLength: number): string | undefined {
  if (text.length > maxLength) return `Use at most ${maxLength} characters; these are ${text.length}.`
  return control.test(text) ? 'Use no control characters, such as line breaks.' : undefined
}

/** Digits with a point that a number keeps exactly; a comma means something else in every country. */
export const isDecimal = (text: string) =>
  /^\d+(\.\d+)?$/.test(text) && text.replace('.', '').replace(/^0+/, '').length <= 15
