import { workerData } from 'node:worker_threads'
import { migrateToLatest } from '@orders/database'

await migrateToLatest(workerData)
