/** A line of the README that is run, and what the README says of its answer; nothing of one that is no request. */
export type CurlLine = { command: string; answer?: { status: number; contains: string } }

/** The parts of the README that are run or compared. */
export type Readme = { start: string; test: string; curls: CurlLine[][]; settings: string; links: string[] }

const fence = /^```(\S*)[ \t]*(\S*)\n([\s\S]*?)^```$/gm

/**
 * Takes the commands out of a README. Throws if a part is missing, or if a shell block is not marked as one that is run:
 * `sh start`, `sh test` (one command each) or `sh curl` (requests that end in `# <status> <text in the answer>`, and
 * variables, functions and what runs beside them in the background).
 */
export function parseReadme(text: string): Readme {
  const blocks = [...text.matchAll(fence)].map(([, language = '', kind = '', body = '']) => ({ language, kind, body }))
  for (const { language, kind, body } of blocks) {
    const isShell = ['', 'sh', 'bash', 'shell', 'console'].includes(language)
    if (isShell && !(language === 'sh' && ['start', 'test', 'curl'].includes(kind))) {
      throw new Error(`README shows a command that nothing runs: mark its block as start, test or curl:\n${body}`)
    }
  }
  const some = (language: string, kind: string) =>
    blocks.filter((block) => block.language === language && block.kind === kind).map(({ body }) => body.trim())
  const one = (language: string, kind: string) => {
    const found = some(language, kind)
    if (found.length !== 1)
      throw new Error(`README needs one block marked "${language} ${kind}", and has ${found.length}`)
    return found[0] ?? ''
  }
  return {
    start: one('sh', 'start'),
    test: one('sh', 'test'),
    curls: some('sh', 'curl').map((body) => body.split('\n').map(parseCurl)),
    settings: one('text', 'settings'),
    links: [...text.matchAll(/\]\(([^)#\s]+)/g)].flatMap(([, link = '']) => (/^\w+:/.test(link) ? [] : [link])),
  }
}

function parseCurl(line: string): CurlLine {
  if (/^(\w+(=|\(\) \{ )|(export|until|kill) |.* &$)/.test(line)) return { command: line }
  const [, command, status, contains = ''] = /^(curl .*\S)\s+# (\d{3})(?: (.+))?$/.exec(line) ?? []
  if (command === undefined) throw new Error(`README has a curl line without "# <status>" at its end: ${line}`)
  return { command, answer: { status: Number(status), contains } }
}
