import { checkMonitoring } from './monitoring/check.ts'
import { writeGenerated } from './monitoring/generated.ts'

const usage = `Makes and checks what Prometheus and Grafana are given.

Usage: node src/monitoring-cli.ts --write | --check`

try {
  if (process.argv[2] === '--write') writeGenerated()
  else if (process.argv[2] === '--check') await checkMonitoring()
  else throw new Error(usage)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
