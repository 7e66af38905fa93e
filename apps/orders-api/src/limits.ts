/** Limits of the HTTP server, in milliseconds and bytes; none of Node's or Fastify's defaults bounds a slow client. */
export const limits = {
  headersTimeout: 5000,
  /** Requests of one connection, so that clients spread over new servers. */
  requestsPerSocket: 1000,
  /** A whole request, such as the body of an import; every other body is given bodyTimeout. */
  requestTimeout: 3_600_000,
  bodyTimeout: 10_000,
  /** Without a byte either way. */
  connectionTimeout: 15_000,
  /** Of imports and exports, whose readers may be busy with what they have got. */
  readerTimeout: 60_000,
  /** Of every route but those that keep time by themselves: Fastify's timer costs 4 % of a small request (measured). */
  handlerTimeout: 8000,
  /** Of requests in flight when the server closes; the process has 25 s from SIGTERM, of which up to 15 s are a delay. */
  closeTimeout: 8000,
  keepAliveTimeout: 72_000, // longer than a load balancer's 60 s, so that it is never us who closes first
  /** Of the request line and the headers, without the token in Authorization, which may have as many bytes again. */
  headerSize: 8192,
  maxHeaderSize: 16_384,
  bodyLimit: 65_536,
}
