/** What one TAP report says: how many tests passed, and the text of each that failed. */
export type Report = { passed: number; failures: string[] }

const preamble = /^(TAP version \d+|1\.\.\d+)$/
const point = /^( *)(not ok|ok) \d+/
const detailsStart = /^ *---$/

/**
 * Counts the tests of a report that `tap run` wrote. A test is what stands one level below its file: a subtest or a bare
 * assertion. A file that failed with no failing test in it (it crashed, or holds none) counts as one failure.
 */
export function readReport(tap: string): Report {
  let passed = 0
  const failures: string[][] = []
  let block: string[] = []
  let failedInFile = 0
  let detailsEnd: string | undefined

  for (const line of tap.split('\n')) {
    if (detailsEnd !== undefined || detailsStart.test(line)) {
      block.push(line)
      detailsEnd ??= line.replace('---', '...')
      if (line !== detailsEnd) continue
      // Details stand two columns deeper than their point: these end a test or a file, and with it its block.
      if (line.length <= '      ...'.length) block = []
      detailsEnd = undefined
      continue
    }
    const [, indent = '', outcome] = point.exec(line) ?? []
    if (outcome === undefined || indent.length > 4) {
      // What passed beside a failure only hides it.
      if (outcome !== 'ok' && !preamble.test(line)) block.push(line)
      continue
    }
    const isFile = indent === ''
    if (outcome === 'ok' && !isFile) passed += 1
    // The details of a point follow it, so a failed one opens the block that collects them.
    const failed = outcome === 'not ok' && (!isFile || failedInFile === 0)
    block = failed ? [...block, line] : []
    if (failed) failures.push(block)
    failedInFile = isFile ? 0 : failedInFile + (failed ? 1 : 0)
  }
  return { passed, failures: failures.map((lines) => lines.join('\n').trim()) }
}
