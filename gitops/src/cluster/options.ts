/** The options of a run on this machine, which `run.ts` checks and `inside.ts` acts on. */
export const insideOptions = {
  only: { type: 'string' },
  short: { type: 'boolean' },
  hold: { type: 'boolean' },
  'keep-logs': { type: 'string' },
} as const
