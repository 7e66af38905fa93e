import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fromSources } from './launch.ts'
import { runService } from './running-service.ts'

const usage = `Serves this checkout and lets ZAP read all of its pages; fails at a warning as at an error. Needs Docker.

Usage: node apps/orders-e2e/e2e/image/scan-zap.ts FOLDER-FOR-REPORTS`

const zap = 'ghcr.io/zaproxy/zaproxy:stable@sha256:8d387b1a63e3425beef4846e39719f5af2a787753af2d8b6558c6257d7a577a2'

const [folder] = process.argv.slice(2)
if (folder === undefined || folder === '--help') {
  console.log(usage)
  process.exit(folder === undefined ? 1 : 0)
}

/** Ends with the exit code of ZAP's baseline scan: 1 for errors, 2 for warnings. */
async function scan(target: URL, reports: string): Promise<number> {
  const mounted = ['--network=host', '--volume', `${reports}:/zap/wrk:rw`, zap]
  const files = ['-c', 'zap-rules.tsv', '-r', 'report.html', '-J', 'report.json']
  const args = ['run', '--rm', ...mounted, 'zap-baseline.py', '-t', target.href, '-m', '2', ...files]
  const child = spawn('docker', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(child, 'exit')
  return code ?? 1
}

/** A page without orders has little to look at. */
async function placeOrder(base: URL) {
  const body = JSON.stringify({ amount: 1, currency: 'EUR', description: '<b>ZAP</b>' })
  const answer = await fetch(new URL('/orders', base), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  if (answer.status !== 201) throw new Error(`POST /orders answers ${answer.status}: ${await answer.text()}`)
}

try {
  const reports = resolve(folder)
  await mkdir(reports, { recursive: true })
  // ZAP runs as a user of its own, who writes here.
  await chmod(reports, 0o777)
  await copyFile(join(import.meta.dirname, 'zap-rules.tsv'), join(reports, 'zap-rules.tsv'))
  const { base, stop } = await runService(fromSources)
  await placeOrder(base)
  process.exitCode = await scan(base, reports)
  await stop()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
