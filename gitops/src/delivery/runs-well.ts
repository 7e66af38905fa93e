import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const smoke = join(import.meta.dirname, '../../../apps/orders-api/src/smoke.ts')
/** Enough to meet every pod of a rollout that is half done. */
const questions = 20

/**
 * Why a service does not run `commit` well, in a sentence; undefined when it does: every pod that answers was built from
 * it, and the smoke test, from here, is green.
 */
export async function whyNot(base: URL, commit: string): Promise<string | undefined> {
  for (let question = 0; question < questions; question++) {
    const found = await commitOf(base)
    if (found !== commit) return `${base.host} runs ${found}, not ${commit}`
  }
  const outcome = await run(process.execPath, [smoke, base.href, '--commit', commit]).catch(
    (error: { stderr?: string }) => error,
  )
  return outcome instanceof Error ? `the smoke test of ${base.host} fails: ${outcome.stderr?.trim()}` : undefined
}

async function commitOf(base: URL): Promise<string> {
  try {
    const answer = await fetch(new URL('/version', base), {
      // Another connection meets another pod.
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(10_000),
    })
    const { commit } = (await answer.json()) as { commit?: unknown }
    return answer.ok ? String(commit) : `nothing (${answer.status})`
  } catch {
    return 'nothing that answers'
  }
}
