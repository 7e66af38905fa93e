/** A fault the person at the terminal can mend; its message is one sentence that says how. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError'
}

const remedies: Record<string, (folder: string) => string> = {
  ENOSPC: (folder) => `The disk that holds ${folder} is full: free 200 MB or more and start again.`,
  EACCES: (folder) => `${folder} cannot be written: give this user the right to it, or start as the user who owns it.`,
  EPERM: (folder) => `${folder} cannot be written: give this user the right to it, or start as the user who owns it.`,
  EROFS: (folder) => `${folder} is on a read-only disk: use a folder that can be written, or set DATABASE_URL.`,
  // mkdir with `recursive` tells a read-only disk so.
  ENOENT: (folder) => `${folder} cannot be made: use a folder that can be written, or set DATABASE_URL.`,
  ENOTDIR: (folder) => `A file is in the way of the folder ${folder}: move it and start again.`,
}

/** Turns a fault of the file system under `folder` into an EmbeddedPostgresError; others pass unchanged. */
export function explainSystemError(error: unknown, folder: string): unknown {
  const remedy = remedies[(error as NodeJS.ErrnoException)?.code ?? '']
  return remedy ? new EmbeddedPostgresError(remedy(folder), { cause: error }) : error
}

/** Turns what initdb or postgres wrote before it gave up into one sentence. */
export function explainOutput(output: string, folder: string, logFile?: string): EmbeddedPostgresError {
  if (/No space left on device/.test(output))
    return explainSystemError({ code: 'ENOSPC' }, folder) as EmbeddedPostgresError
  const faults = output.match(/(?<=(?:FATAL|PANIC|error): +).+/g) ?? output.trim().split('\n')
  const where = logFile ? ` (see ${logFile})` : ''
  return new EmbeddedPostgresError(
    `PostgreSQL could not start on ${folder}: ${faults.at(-1) || 'no reason given'}${where}.`,
  )
}
