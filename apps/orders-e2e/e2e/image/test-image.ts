import { execFileSync } from 'node:child_process'
import { checkService, checkWorker } from './check-service.ts'
import { fromImage, fromSources } from './launch.ts'
import { runService } from './running-service.ts'

const usage = `Runs an image as a cluster would, API and worker, and asks for health, a page and the metrics of both.

Usage: node apps/orders-e2e/e2e/image/test-image.ts IMAGE|--sources`

const [image] = process.argv.slice(2)
if (image === undefined || image === '--help') {
  console.log(usage)
  process.exit(image === undefined ? 1 : 0)
}
const revision = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
const inspect = () => execFileSync('docker', ['image', 'inspect', '--format', revision, image], { encoding: 'utf8' })

try {
  if (image !== '--sources' && image.includes('@')) execFileSync('docker', ['pull', '--quiet', image])
  const commit = image === '--sources' ? 'unknown' : inspect().trim()
  const { base, admin, worker, stop } = await runService(image === '--sources' ? fromSources : fromImage(image))
  const faults = [...(await checkService(base, admin, commit)), ...(await checkWorker(worker))]
  await stop()
  for (const fault of faults) console.error(`${image}: ${fault}`)
  if (faults.length > 0) process.exitCode = 1
  else console.log(`${image} migrates, serves, works, is measured, tells ${commit} and ends well.`)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
