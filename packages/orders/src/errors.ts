import type { ErrorCode } from '@orders/schema'

export type Fault = { path: string; message: string }

/** A refusal that a client can act on. `code` is of the error catalogue, `message` a sentence fit for a user. */
export class OrdersError extends Error {
  override name = 'OrdersError'
  readonly code: ErrorCode
  readonly faults: Fault[] | undefined

  constructor(code: ErrorCode, message: string, faults?: Fault[]) {
    super(message)
    this.code = code
    this.faults = faults
  }
}

export function orgNotFound(orgId: string): never {
  throw new OrdersError('ORG_NOT_FOUND', `There is no organisation ${orgId}.`)
}
