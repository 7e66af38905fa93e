/** The labels of the service's series, of the namespaces that the reader has picked. */
export const target = 'job="orders-api",namespace=~"$namespace"'
/** Those of the worker, and of both. */
export const worker = 'job="orders-worker",namespace=~"$namespace"'
export const processes = 'job=~"orders-(api|worker)",namespace=~"$namespace"'
const probes = '/(livez|readyz|ready|health|version|metrics)'
/** Requests of clients. Probes are many and fast: they would make every figure look better than it is. */
export const asked = `${target},handler!~"${probes}"`
/** Requests of clients without imports, exports and streams, whose duration depends on their data and their client. */
export const ordinary = `${target},handler!~"${probes}|.*/(import|export|stream)"`
export const failed = `${ordinary},status=~"5.."`

/** Increase a second of a counter. */
export const rate = (metric: string, labels = target) => `rate(${metric}{${labels}}[$__rate_interval])`

/** Ordinary requests a second, or those with `labels`. */
export const requests = (labels = ordinary) => rate('http_requests_total', labels)

/** A quantile, 0 to 1, of a histogram; `by` lists labels to keep, each with a comma behind it. */
export const quantile = (q: number, metric: string, labels = target, by = '') =>
  `histogram_quantile(${q}, sum by (${by}le) (${rate(`${metric}_bucket`, labels)}))`

/** A quantile of the time to answer ordinary requests, or those with `labels`, in seconds. */
export const latency = (q: number, labels = ordinary, by = '') =>
  quantile(q, 'http_request_duration_seconds', labels, by)
