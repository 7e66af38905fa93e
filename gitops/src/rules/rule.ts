import type { Document } from './documents.ts'

/** A setting of a process. */
export type Setting = { name: string; required: boolean }

/** What a rule may know beside the set that it looks at. */
export type Facts = {
  /** The settings that each process reads, by its program. */
  settings: Record<string, Setting[]>
  /** Every rendered set, by its path below gitops/. */
  sets: Map<string, Document[]>
  /** Is there a file or a folder, by its path in the repository. */
  exists: (path: string) => boolean
}

/** Says what is wrong with a set: where, and one sentence. */
export type Rule = (set: Document[], facts: Facts, path: string) => [where: string, says: string][]
