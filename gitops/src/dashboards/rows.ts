import type { Graph } from './panels.ts'
import { asked, latency, ordinary, processes, quantile, rate, requests, target, worker } from './queries.ts'

const requestsRow: Graph[] = [
  {
    title: 'Requests by route',
    description: 'Which routes are asked, and how often in a second.',
    unit: 'reqps',
    stacked: true,
    queries: [{ expr: `sum by (handler, method) (${requests(asked)})`, legend: '{{method}} {{handler}}' }],
  },
  {
    title: 'Refusals and errors by status',
    description:
      'Ordinary requests with a status of 400 or more in a second; from 500 on they are ours, below the callers’.',
    unit: 'reqps',
    queries: [{ expr: `sum by (status) (${requests(`${ordinary},status=~"[45].."`)})`, legend: '{{status}}' }],
  },
  {
    title: 'Time to answer',
    description: 'How long half, nineteen in twenty and ninety-nine in a hundred ordinary requests take at most.',
    unit: 's',
    queries: [0.5, 0.95, 0.99].map((q) => ({ expr: latency(q), legend: `p${q * 100}` })),
  },
  {
    title: 'Error ratio by route',
    description: 'Where the errors are: the share of each route’s requests with a status of 500 or more.',
    unit: 'percentunit',
    queries: [
      {
        expr: `sum by (handler) (${requests(`${asked},status=~"5.."`)}) / sum by (handler) (${requests(asked)})`,
        legend: '{{handler}}',
      },
    ],
  },
  {
    title: 'Time to answer by route, p95',
    description:
      'Where the time goes. Imports and exports take as long as their data; a stream counts to its first byte.',
    unit: 's',
    queries: [{ expr: latency(0.95, asked, 'handler, '), legend: '{{handler}}' }],
  },
  {
    title: 'Order events',
    description: 'Orders placed, confirmed, completed, cancelled and edited in a second.',
    unit: 'ops',
    queries: [{ expr: `sum by (type) (${rate('order_events_total', processes)})`, legend: '{{type}}' }],
  },
]

const databaseRow: Graph[] = [
  {
    title: 'Connection pool',
    description: 'Requests that wait while every connection is used mean that the pool or the database is too slow.',
    unit: 'short',
    queries: ['used', 'idle', 'waiting', 'max'].map((state) => ({
      expr: `sum(orders_database_connections{${target},state="${state}"})`,
      legend: state,
    })),
  },
  {
    title: 'Database errors',
    description: 'Connections that broke, requests and probes without an answer, statements refused.',
    unit: 'ops',
    queries: [{ expr: `sum by (kind) (${rate('orders_database_errors_total')})`, legend: '{{kind}}' }],
  },
  {
    title: 'Failed scrapes',
    description: 'Scrapes of /metrics that failed inside the service; the graphs have gaps there.',
    unit: 'ops',
    queries: [{ expr: `sum(${rate('orders_metrics_handler_errors_total')})` }],
  },
  {
    title: 'Orders placed',
    description: 'Orders in a second, and the batches that place them.',
    unit: 'ops',
    queries: [
      { expr: `sum(${rate('orders_placed_total')})`, legend: 'orders' },
      { expr: `sum(${rate('orders_batch_size_count')})`, legend: 'batches' },
    ],
  },
  {
    title: 'Batch size',
    description: 'Orders that one statement places: it grows with the load, so that the database keeps up.',
    unit: 'short',
    queries: [
      { expr: `sum(${rate('orders_batch_size_sum')}) / sum(${rate('orders_batch_size_count')})`, legend: 'mean' },
      { expr: quantile(0.95, 'orders_batch_size'), legend: 'p95' },
    ],
  },
  {
    title: 'Orders waiting for a batch',
    description: 'A queue that does not empty means that the database does not keep up.',
    unit: 'short',
    queries: [{ expr: `sum(orders_batch_waiting{${target}})` }],
  },
]

// Every worker reports the same backlog, so the sum over workers would count it several times.
const waiting = (labels = worker) => `max by (where) (orders_events_waiting{${labels}})`

const eventsRow: Graph[] = [
  {
    title: 'Events waiting',
    description: 'In the outbox, where orders write them, in the queue of the workers, and given up as dead letters.',
    unit: 'short',
    queries: [{ expr: waiting(), legend: '{{where}}' }],
  },
  {
    title: 'Lag of events',
    description: 'For how long the oldest event that has not left has waited. From 60 s on there is a warning.',
    unit: 's',
    queries: [{ expr: `max(orders_events_lag_seconds{${worker}})` }],
  },
  {
    title: 'Events handed on',
    description: 'Events in a second that were handed on, put off after a failure, or given up.',
    unit: 'ops',
    queries: [{ expr: `sum by (outcome) (${rate('orders_events_relayed_total', worker)})`, legend: '{{outcome}}' }],
  },
  {
    title: 'Workers',
    description: 'Pods that answer the scrapes of Prometheus.',
    unit: 'short',
    queries: [{ expr: `sum(up{${worker}})` }],
  },
  {
    title: 'Backlog of a worker',
    description: 'Events that wait, for each worker: KEDA adds workers from 1000 on.',
    unit: 'short',
    queries: [{ expr: `sum(${waiting(`${worker},where=~"outbox|queue"`)}) / sum(up{${worker}})` }],
  },
  {
    title: 'Failed turns of jobs',
    description: 'Turns in a second that failed and were repeated, by job of the worker.',
    unit: 'ops',
    queries: [{ expr: `sum by (task) (${rate('orders_job_failures_total', worker)})`, legend: '{{task}}' }],
  },
  {
    title: 'Rows removed',
    description: 'Rows in a second that the worker deletes because of their age or with an inactive guest, by table.',
    unit: 'ops',
    queries: [{ expr: `sum by (table) (${rate('orders_rows_removed_total', worker)})`, legend: '{{table}}' }],
  },
]

const processesRow: Graph[] = [
  {
    title: 'CPU by pod',
    description: 'Cores in use; a pod may use one.',
    unit: 'short',
    queries: [{ expr: `sum by (instance) (${rate('process_cpu_seconds_total', processes)})`, legend: '{{instance}}' }],
  },
  {
    title: 'Memory by pod',
    description: 'Memory that the processes hold.',
    unit: 'bytes',
    queries: [{ expr: `sum by (instance) (process_resident_memory_bytes{${processes}})`, legend: '{{instance}}' }],
  },
  {
    title: 'Event loop delay by pod, p99',
    description: 'From 200 ms on a pod refuses requests with OVERLOADED.',
    unit: 's',
    queries: [{ expr: `max by (instance) (nodejs_eventloop_lag_p99_seconds{${target}})`, legend: '{{instance}}' }],
  },
]

/** What is behind the figures on top of the page, by heading. */
export const rows: Record<string, Graph[]> = {
  Requests: requestsRow,
  'Database and batches': databaseRow,
  'Events and the worker': eventsRow,
  Processes: processesRow,
}
