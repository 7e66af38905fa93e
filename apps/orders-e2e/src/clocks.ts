import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What asks the process for the time of day: durations are measured with performance.now(), and instants come from the
 * database. A date made of a given value is none.
 */
const clockReads = /\bDate\.now\b|\bnew Date\b(?!\()|\bnew Date\(\s*\)|(?<!new )\bDate\(\s*\)|\bTemporal\.Now\b/

/** The lines of a source that read the clock of the process, counted from 1. */
export const linesWithClockReads = (source: string): number[] =>
  source.split('\n').flatMap((line, i) => (clockReads.test(line.replace(/^\s*(\*|\/\/).*/, '')) ? [i + 1] : []))

/** Every such place of the sources of applications and packages, as file:line. */
export const placesWithClockReads = (root: string): string[] =>
  globSync('{apps,packages}/*/src/**/*.ts', { cwd: root, exclude: (name) => name === 'node_modules' }).flatMap((file) =>
    linesWithClockReads(readFileSync(join(root, file), 'utf8')).map((line) => `${file}:${line}`),
  )
