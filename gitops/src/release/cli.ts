import { run } from './command.ts'

try {
  console.log(await run(process.argv.slice(2), process.cwd()))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
