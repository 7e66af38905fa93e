/** The labels of the service's series, of the namespaces that the reader has picked. */
export const target = 'job="orders-api",namespace=~"$namespace"'
/** Those of the worker, and of both. */
export const worker = 'job="orders-worker",namespace=~"$namespace"'
export const processes = 'job=~"orders-(api|worker)",namespace=~"$namespace"'
// Probes are many and fast: they would make every figure look better than it is.
export const asked = `${target},handler!~"/(livez|readyz|ready|health|version|metrics)"`
export const failed = `${asked},status=~"5.."`

/** Increase a second of a counter. */
export const rate = (metric: string, labels = target) => `rate(${metric}{${labels}}[$__rate_interval])`

/** Requests a second, those without probes unless `labels` say otherwise. */
export const requests = (labels = asked) => rate('http_requests_total', labels)

/** A quantile, 0 to 1, of a histogram; `by` lists labels to keep, each with a comma behind it. */
export const quantile = (q: number, metric: string, labels = target, by = '') =>
  `histogram_quantile(${q}, sum by (${by}le) (${rate(`${metric}_bucket`, labels)}))`

/** A quantile of the time to answer, in seconds. */
export const latency = (q: number, by = '') => quantile(q, 'http_request_duration_seconds', asked, by)
