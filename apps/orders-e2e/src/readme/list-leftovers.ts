/** Ends with 1 if a process still works in one of the given folders, and names it. Run it when nothing should be. */
import { leftovers } from './leftovers.ts'

const found = process.argv.slice(2).flatMap(leftovers)
for (const { pid, command } of found) console.error(`Process ${pid} was left behind: ${command}`)
process.exitCode = found.length === 0 ? 0 : 1
