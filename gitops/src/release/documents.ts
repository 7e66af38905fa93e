import { type Document, isMap, parseDocument } from 'yaml'
import { Refusal } from './refusal.ts'

/** Reads a file that holds one mapping. Throws a Refusal when it is anything else. */
export function parse(text: string, path: string): Document {
  const document = parseDocument(text)
  if (document.errors.length > 0 || !isMap(document.contents)) {
    throw new Refusal(`${path} is not a YAML mapping: repair it by hand`)
  }
  return document
}

/** Writes a document back; what was not changed keeps its lines and comments. */
export function print(document: Document): string {
  return document.toString({ lineWidth: 0, flowCollectionPadding: false })
}
