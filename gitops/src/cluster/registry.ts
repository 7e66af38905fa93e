import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { addresses, registryPort } from './addresses.ts'
import { type Running, start } from './processes.ts'

/** Starts a registry; every node takes the images of all registries from it. */
export function startRegistry(folder: string, logs: string): Running {
  const storage = join(folder, 'registry')
  mkdirSync(storage, { recursive: true })
  const file = join(folder, 'registry.yml')
  const configuration = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
    http: { addr: `${addresses.host}:${registryPort}` },
  }
  writeFileSync(file, stringify(configuration))
  return start(logs, 'registry', [], ['docker-registry', 'serve', file])
}
