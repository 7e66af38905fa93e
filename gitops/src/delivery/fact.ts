import { forkFact } from './facts.ts'

/** Prints a fact of the fork for a workflow. Usage: node gitops/src/delivery/fact.ts NAME */
try {
  console.log(forkFact(process.argv[2] ?? 'registry'))
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
