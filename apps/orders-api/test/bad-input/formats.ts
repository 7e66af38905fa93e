import type { Operation, Schema } from './document.ts'

const uuid = '01234567-89ab-7cde-8f01-23456789abcd'

/** Spellings that some reader takes for a value of the format, and RFC 9562 or RFC 3339 does not. */
const synonyms: Record<string, string[]> = {
  uuid: [
    `urn:uuid:${uuid}`,
    `URN:UUID:${uuid}`,
    `{${uuid}}`,
    `uuid:${uuid}`,
    uuid.replaceAll('-', ''),
    ` ${uuid}`,
    `${uuid} `,
    `${uuid}\n`,
    uuid.replace('-', '\u2010'),
    uuid.replace('0', '\uff10'),
    '0123-4567-89ab-7cde-8f01-2345-6789-abcd',
  ],
  'date-time': [
    '2026-01-01 00:00:00Z',
    '2026-01-01\t00:00:00Z',
    '2026-01-01T00:00:00',
    '2026-01-01T00:00:00+01',
    '2026-01-01T00:00:00+0100',
    '2026-01-01T00:00:00 +01:00',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00Z',
    '2026-01-01',
    '2026-001T00:00:00Z',
    '20260101T000000Z',
    '+002026-01-01T00:00:00Z',
    '-002026-01-01T00:00:00Z',
    '2016-12-31T23:59:60Z',
    '2026-02-29T00:00:00Z',
    '2026-01-01T00:00:00,5Z',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00\u221201:00',
    'Thu, 01 Jan 2026 00:00:00 GMT',
    '1767225600',
    'infinity',
    'now',
    'epoch',
  ],
}

/** Where in a request a value of a format stands. */
export type Place = { operation: Operation; in: 'path' | 'query' | 'header' | 'body'; name: string; format: string }

/** Every place of the document whose schema names a format. */
export function placesOf(operations: Operation[]): Place[] {
  return operations.flatMap((operation) => [
    ...operation.parameters.flatMap(({ in: where, name, schema }) =>
      schema.format ? [{ operation, in: where, name, format: schema.format as string }] : [],
    ),
    ...Object.entries<Schema>(operation.body?.properties ?? {}).flatMap(([name, { format }]) =>
      format ? [{ operation, in: 'body' as const, name, format: format as string }] : [],
    ),
  ])
}

/** Throws for a format that has no synonyms here, so that a new one is not overlooked. */
export function synonymsOf(format: string): string[] {
  const found = synonyms[format]
  if (!found) throw new Error(`List synonyms of the format ${format}`)
  return found
}
