import { workerData } from 'node:worker_threads'
import { migrateToLatest } from '@orders/database'

const { url, contextKey } = workerData as { url: string; contextKey: string | undefined }
await migrateToLatest(url, { contextKey })
