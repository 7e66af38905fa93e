import { currencyDecimals } from '@orders/schema'
import fc from 'fast-check'
import type { Parameter, Schema } from './document.ts'
import { synonymsOf } from './formats.ts'
import type { Members } from './wrong.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !/\p{Cc}/u.test(value))
/** Texts of these characters; much cheaper than of a pattern. */
export const textOf = (characters: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength })

const shortName = textOf('AZaz_./~ é-', 1, 64)
const longId = textOf('AZaz09._-', 20, 63).map((id) => JSON.stringify(`n${id}`))
const searched = textOf('az%_\\é', 1, 20)
const amountIn = (decimals: number) =>
  fc.tuple(fc.integer({ min: 1, max: 999_999_999 }), fc.integer({ min: 0, max: decimals })).map(([digits, scale]) =>
    digits
      .toString()
      .padStart(scale + 1, '0')
      .replace(new RegExp(`(?=\\d{${scale}}$)`), scale ? '.' : ''),
  )
const exponent = fc.constantFrom('1e2', '12345e-2', '0.1e1', '1E+2', '7.50', '1.000')

/** Members of a valid body, read from its schema; the amount also has to fit its currency. */
export function rightBody(schema: Schema): fc.Arbitrary<Members> {
  const currency = fc.constantFrom(...currencyDecimals.keys())
  const values: Record<string, fc.Arbitrary<string>> = {
    id: longId,
    description: fc.option(text).map((value) => JSON.stringify(value)),
    project_id: fc.constant('null'),
    name: text.filter((value) => value !== '').map((value) => JSON.stringify(value)),
    slug: textOf('az09', 10, 30).map((slug) => JSON.stringify(slug)),
    url: fc.constantFrom('"https://example.com"', '"https://example.com/a?b=c"'),
    event_types: fc.constantFrom('null', '["orders.order.placed.v1"]'),
    signature: fc.constantFrom('"ed25519"', '"hmac"'),
    enabled: fc.constantFrom('true', 'false'),
    role: fc.constantFrom('"owner"', '"viewer"'),
    metadata: fc.dictionary(shortName, text, { maxKeys: 5 }).map((value) => JSON.stringify(value)),
  }
  const known = Object.keys(schema.properties).filter((name) => values[name])
  const needed = known.filter((name) => schema.required?.includes(name))
  const optional = known.filter((name) => !needed.includes(name))
  return fc
    .tuple(
      fc.subarray(optional, { minLength: schema.required ? 0 : 1 }),
      fc.option(currency),
      fc.infiniteStream(fc.nat()),
    )
    .chain(([names, code]) => {
      const amount: fc.Arbitrary<Members> = schema.properties.amount
        ? fc
            .oneof(
              { arbitrary: amountIn(code ? (currencyDecimals.get(code) ?? 0) : 2), weight: 5 },
              ...(code ? [] : [exponent]),
            )
            .map(
              (value): Members => [
                ['amount', value],
                ...(code ? [['currency', JSON.stringify(code)] as [string, string]] : []),
              ],
            )
        : fc.constant([])
      const members = [...needed, ...names].map((name) =>
        (values[name] as fc.Arbitrary<string>).map((value): Members => [[name, value]]),
      )
      return fc.tuple(amount, ...members).map((parts) => parts.flat())
    })
}

export const rightQuery = ({ schema }: Parameter): fc.Arbitrary<string> => {
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.format === 'uuid') return fc.uuid()
  if (schema.format === 'date-time')
    return fc
      .date({ noInvalidDate: true, min: new Date('2026-01-01'), max: new Date('2026-12-31') })
      .map((d) => d.toISOString())
  if (schema.type === 'integer') return fc.integer({ min: schema.minimum, max: schema.maximum ?? 100_000 }).map(String)
  if (schema.type === 'number') return fc.integer({ min: schema.minimum, max: 100_000 }).map((n) => String(n / 100))
  return searched
}

export const wrongQuery = ({ schema }: Parameter): string[] => {
  if (schema.enum) return ['', 'x', 'PLACED', 'true', '\0']
  if (schema.format)
    return [
      ...synonymsOf(schema.format),
      ...['', 'x', '2020', '1', '2020-02-30T00:00:00Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59-23:00', '\0'],
    ]
  if (/integer|number/.test(schema.type))
    return ['', 'x', '1e1', ' 1', '-1', '0x1', '1,5', 'NaN', '99999999999999999999', 'true', '\0']
  return ['', 'x'.repeat(401), '\0', 'a\u0001']
}
