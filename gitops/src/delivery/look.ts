import { addressesOf } from './facts.ts'
import { proposals } from './proposals.ts'

/** Prints for a workflow what may be promoted now, as `proposals=[...]`; why the rest may not goes to standard error. */
const place = { folder: process.cwd(), remote: 'origin', branch: 'main' }
try {
  const found = await proposals(place, addressesOf, (line) => console.error(line))
  console.log(`proposals=${JSON.stringify(found)}`)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
