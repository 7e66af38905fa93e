// biome-ignore-all lint/suspicious/noExplicitAny: an OpenAPI document is read as it comes
import { openapiText } from '../../src/openapi-file.ts'

export type Schema = Record<string, any>
export type Parameter = { name: string; in: 'path' | 'query' | 'header'; required?: boolean; schema: Schema }

export type Operation = {
  method: string
  path: string
  parameters: Parameter[]
  /** Of an application/json body, if it takes one. */
  body: Schema | undefined
  statuses: number[]
}

/** What the service says it takes and answers, route by route. */
export async function readOperations(): Promise<Operation[]> {
  const document = JSON.parse(await openapiText())
  const resolve = (schema: Schema): Schema =>
    schema?.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema
  return Object.entries<Record<string, any>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      body: resolve(requestBody?.content['application/json']?.schema),
      statuses: Object.keys(responses).map(Number),
    })),
  )
}
