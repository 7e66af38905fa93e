/** What the tool will not do: one sentence that says why, and what to do instead. Nothing has been written. */
export class Refusal extends Error {}
