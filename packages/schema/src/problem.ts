import { type Static, Type } from '@sinclair/typebox'
import { type ErrorCode, errorCodes } from './errors.ts'
import { QuotaUse } from './usage.ts'

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'The page that explains the code, `/errors/{code}`.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong with this very request.' }),
    instance: Type.String({ description: 'The path that was asked for.' }),
    request_id: Type.String(),
    error: Type.Unsafe<ErrorCode>({ type: 'string', enum: errorCodes }),
    message: Type.String({ description: 'The same as detail.' }),
    errors: Type.Optional(
      Type.Array(Type.Object({ path: Type.String({ description: 'JSON Pointer.' }), message: Type.String() })),
    ),
    quota: Type.Optional(Type.Ref(QuotaUse, { description: 'With QUOTA_EXCEEDED.' })),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details.' },
)
export type Problem = Static<typeof Problem>
