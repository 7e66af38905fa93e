type CatalogueEntry = { status: number; title: string; help: string }

/** Every error a client can meet: code -> HTTP status, title (fixed per code, RFC 9457) and what to do about it. */
export const errorCatalogue = {
  VALIDATION_FAILED: {
    status: 400,
    title: 'The request is not what the contract describes',
    help: 'Look at `errors`: each entry names the path of a fault and what is expected there. Nothing was changed.',
  },
  JSON_INVALID: {
    status: 400,
    title: 'The body is not acceptable JSON',
    help: 'Send one well-formed UTF-8 JSON value: no duplicate keys, no control characters in strings, at most 32 levels, 1000 keys, 200 array items and 2000 characters a string.',
  },
  AMOUNT_INVALID: {
    status: 400,
    title: 'The amount cannot be kept exactly',
    help: "Send a positive JSON number in major units with at most 15 significant digits and at most the currency's own number of decimals (JPY 0, EUR 2, KWD 3).",
  },
  CURSOR_INVALID: {
    status: 400,
    title: 'The cursor does not belong to this list',
    help: 'Use `next_cursor` of the previous page unchanged, with the same filters, or start again without a cursor.',
  },
  IDEMPOTENCY_KEY_INVALID: {
    status: 400,
    title: 'The Idempotency-Key header is malformed',
    help: 'Send 16 to 255 characters of A-Z a-z 0-9 _ and -, for example a UUID, with or without double quotes.',
  },
  SIGN_IN_FAILED: {
    status: 400,
    title: 'The sign-in was not completed',
    help: 'Start it again from /sign-in in the same browser, and finish it within ten minutes.',
  },
  BAD_REQUEST: {
    status: 400,
    title: 'The request could not be read',
    help: 'Check the request line and the headers against HTTP/1.1.',
  },
  INVALID_ORG_SLUG: {
    status: 400,
    title: 'The slug cannot name an organisation',
    help: 'Use 1 to 63 of a-z, 0-9 and -, beginning with a letter or a digit; names that begin with guest- or home- are taken for the homes of users.',
  },
  INVALID_PROJECT_SLUG: {
    status: 400,
    title: 'The slug cannot name a project',
    help: 'Use 1 to 63 of a-z, 0-9 and -, beginning with a letter or a digit.',
  },
  WEBHOOK_URL_REFUSED: {
    status: 400,
    title: 'Webhooks are not sent to this address',
    help: 'Use an https address of a public server on port 443, without a user name, a password or a fragment.',
  },
  UNAUTHENTICATED: {
    status: 401,
    title: 'The request needs a valid token',
    help: 'Send Authorization: Bearer with a token of POST /api/v1/auth/guest or of a configured OpenID issuer that has not ended.',
  },
  ROLE_REQUIRED: {
    status: 403,
    title: 'Your role in the organisation does not allow this',
    help: 'Ask an owner of the organisation for a role that may; GET /api/v1/me shows yours.',
  },
  SCOPE_REQUIRED: {
    status: 403,
    title: 'The token was not given the scope that this needs',
    help: 'Ask the issuer for a token with the scope named in WWW-Authenticate.',
  },
  QUOTA_EXCEEDED: {
    status: 403,
    title: 'Quota exceeded',
    help: 'Delete projects, members or webhooks that you no longer need, or shorten metadata. For import-lines, wait until 00:00 UTC. Orders cannot be deleted: ask the operator of the service for a higher limit. GET /api/v1/usage shows the use of each quota.',
  },
  CROSS_SITE_REQUEST: {
    status: 403,
    title: 'Request from another site',
    help: 'Open a page of this service and send its own form. A browser cannot call the API from the pages of another site.',
  },
  NOT_FOUND: { status: 404, title: 'There is nothing at this address', help: 'See /docs for the routes there are.' },
  ORDER_NOT_FOUND: {
    status: 404,
    title: 'There is no such order',
    help: 'Check the id; orders of other organisations do not exist for you.',
  },
  ORG_NOT_FOUND: {
    status: 404,
    title: 'There is no such organisation',
    help: 'Check the id, also in X-Org-Id; organisations that you do not belong to do not exist for you, and this one may have been deleted.',
  },
  PROJECT_NOT_FOUND: {
    status: 404,
    title: 'There is no such project',
    help: 'Check the id; projects of other organisations do not exist for you.',
  },
  MEMBER_NOT_FOUND: {
    status: 404,
    title: 'There is no such member',
    help: 'Check the id of the user; GET the members to see who belongs to the organisation.',
  },
  USER_NOT_FOUND: {
    status: 404,
    title: 'There is no such user',
    help: 'Ask the person for the id that GET /api/v1/me shows.',
  },
  WEBHOOK_NOT_FOUND: {
    status: 404,
    title: 'There is no such webhook',
    help: 'Check the id; webhooks of other organisations do not exist for you.',
  },
  DELIVERY_NOT_FOUND: {
    status: 404,
    title: 'There is no such delivery',
    help: 'Check the id; deliveries are kept for 30 days, and go with their webhook.',
  },
  DEAD_LETTER_NOT_FOUND: {
    status: 404,
    title: 'There is no such dead letter',
    help: 'Check the id; one that was replayed is gone.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'This address does not take this method',
    help: 'The Allow header lists the methods it takes.',
  },
  NOT_ACCEPTABLE: {
    status: 406,
    title: 'None of the accepted media types can be produced',
    help: 'Ask for one of the media types that the documentation lists for this route.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    title: 'The request took too long to arrive',
    help: 'Send the whole request within 10 seconds; an import must deliver at least a line every 10 seconds.',
  },
  ORDER_ID_TAKEN: {
    status: 409,
    title: 'Another order has this id',
    help: 'The id was placed with other content. Choose another id, or leave it out.',
  },
  ILLEGAL_TRANSITION: {
    status: 409,
    title: 'The order cannot change in this way any more',
    help: 'placed -> confirmed -> completed; placed or confirmed -> cancelled.',
  },
  IDEMPOTENCY_IN_FLIGHT: {
    status: 409,
    title: 'A request with this Idempotency-Key is still being worked on',
    help: 'Send the same request again after the time in Retry-After.',
  },
  SLUG_TAKEN: {
    status: 409,
    title: 'The slug is taken',
    help: 'Choose another one.',
  },
  ORG_IN_USE: {
    status: 409,
    title: 'The organisation is still in use',
    help: 'An organisation that has orders, or that is the home or the only organisation of a user, stays.',
  },
  PROJECT_IN_USE: {
    status: 409,
    title: 'The project still has orders',
    help: 'A project that has orders stays.',
  },
  LAST_OWNER: {
    status: 409,
    title: 'The organisation would be left without an owner',
    help: 'Make somebody else an owner first.',
  },
  LAST_MEMBERSHIP: {
    status: 409,
    title: 'Last organisation of the user',
    help: 'A user keeps at least one organisation: lower the role instead, or ask the user to create or join another organisation first.',
  },
  WEBHOOK_DISABLED: {
    status: 409,
    title: 'The webhook is disabled',
    help: 'Enable it first, with PATCH and { "enabled": true }.',
  },
  PRECONDITION_FAILED: {
    status: 412,
    title: 'It has changed since you read it',
    help: 'Read it again and send the change with its new ETag in If-Match.',
  },
  BODY_TOO_LARGE: {
    status: 413,
    title: 'The body is too large',
    help: 'An order takes at most 64 KiB. Use POST /orders/import for many orders.',
  },
  URI_TOO_LONG: { status: 414, title: 'The address is too long', help: 'Shorten the path or its parameters.' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    title: 'This content type is not taken here',
    help: 'Send one of the content types that `detail` and the Accept header name, without a Content-Encoding.',
  },
  EXPECTATION_FAILED: {
    status: 417,
    title: 'The Expect header cannot be met',
    help: 'Leave Expect out, or send 100-continue.',
  },
  HOST_NOT_ALLOWED: {
    status: 421,
    title: 'Host name not allowed',
    help: 'Use localhost or a loopback address, or add the name to the setting ALLOWED_HOSTS.',
  },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    title: 'This Idempotency-Key was used for another request',
    help: 'Use a new key for a new request; repeat a request with the very same body.',
  },
  PRECONDITION_REQUIRED: {
    status: 428,
    title: 'The change needs If-Match',
    help: 'Read what you want to change and send its ETag in If-Match.',
  },
  RATE_LIMITED: {
    status: 429,
    title: 'Too many requests',
    help: 'Wait for the time in Retry-After.',
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    title: 'The headers are too large or too many',
    help: 'Send at most 64 headers and 8 KiB of them.',
  },
  INTERNAL: {
    status: 500,
    title: 'Something went wrong on our side',
    help: 'Repeat the request with the same Idempotency-Key or id; tell us the request_id if it stays.',
  },
  OVERLOADED: {
    status: 503,
    title: 'The service has more work than it can take',
    help: 'Repeat the request after the time in Retry-After.',
  },
  SHUTTING_DOWN: {
    status: 503,
    title: 'Server shutting down',
    help: 'Repeat the request after the time in Retry-After: another server answers it. An import is safe to send again.',
  },
  DATABASE_UNAVAILABLE: {
    status: 503,
    title: 'The database does not answer',
    help: 'Repeat the request with the same Idempotency-Key or id after the time in Retry-After; it is placed once.',
  },
  DURABILITY_LOST: {
    status: 503,
    title: 'Database not durable',
    help: 'Repeat the request with the same Idempotency-Key or id after the time in Retry-After. Reads work meanwhile. An operator must set fsync, full_page_writes and synchronous_commit of PostgreSQL to on.',
  },
  STREAM_POSITION_GONE: {
    status: 410,
    title: 'The stream cannot go on from there',
    help: 'Events are told for 7 days. Read the orders with `GET /orders`, and listen without `Last-Event-ID`.',
  },
  ISSUER_UNAVAILABLE: {
    status: 503,
    title: 'The issuer of the token does not answer',
    help: 'Repeat the request after the time in Retry-After; tokens of other issuers are taken meanwhile.',
  },
  TIMED_OUT: {
    status: 503,
    title: 'The request was not finished in time',
    help: 'A change may still be made: repeat the request with the same Idempotency-Key or id, or read first. Ask for less at once.',
  },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof errorCatalogue

export const errorCodes = Object.keys(errorCatalogue) as ErrorCode[]
