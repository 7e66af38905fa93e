/** A piece of a module that names another one: `import`, `export from`, `import()`, `require()`, `import type`. */
export type Import = { specifier: string; line: number; typeOnly: boolean }

/** A module as the rules read it: what it imports, and its code with comments, texts and patterns blanked out. */
export type Source = { imports: Import[]; code: string }

const pieces = [
  String.raw`\/\/[^\n]*`,
  String.raw`\/\*[\s\S]*?\*\/`,
  String.raw`'(?:[^'\\\n]|\\.)*'`,
  String.raw`"(?:[^"\\\n]|\\.)*"`,
  // A pattern stands where a value may begin; elsewhere the slash divides.
  String.raw`(?<=(?:^|[(,=:[!&|?{};+>]|\breturn)\s*)\/(?![/*])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*`,
  '`',
  '[{}]',
]
const lexical = new RegExp(pieces.join('|'), 'gm')
const importing = /\b(?:from|import|import\s*\(|require\s*\(|import\.meta\.resolve\s*\()\s*"(\d+)"/g
// What stands before the `from` of a statement that Node erases.
const typeStatement = /\b(?:import|export)\s+type\b(?!\s+from)(?:(?!\b(?:import|export)\b)[\s\S])*$/

/** Reads a TypeScript or JavaScript module without a compiler: exact for what biome's formatter leaves behind. */
export function readSource(text: string): Source {
  const strings: string[] = []
  const code = blank(text, strings)
  const imports = [...code.matchAll(importing)].map((match) => {
    const before = code.slice(0, match.index)
    return {
      specifier: strings[Number(match[1])] ?? '',
      line: before.split('\n').length,
      typeOnly: match[0].startsWith('from') && typeStatement.test(before),
    }
  })
  return { imports, code }
}

/** Replaces each string by its number, and comments, patterns and the text of templates by spaces; keeps the lines. */
function blank(text: string, strings: string[]): string {
  let out = ''
  let at = 0
  // One entry for each open `${`: how many braces are open inside it.
  const templates: number[] = []
  lexical.lastIndex = 0
  for (let match = lexical.exec(text); match !== null; match = lexical.exec(text)) {
    const [piece] = match
    out += text.slice(at, match.index)
    at = lexical.lastIndex
    const depth = templates.at(-1)
    if (piece === '{' && depth !== undefined) templates[templates.length - 1] = depth + 1
    if (piece === '}' && depth !== undefined) templates[templates.length - 1] = depth - 1
    if (piece === '`' || (piece === '}' && depth === 0)) {
      if (piece === '}') templates.pop()
      const end = endOfTemplateText(text, at)
      if (text.startsWith('${', end)) templates.push(0)
      out += spaces(text.slice(match.index, end))
      at = text.startsWith('${', end) ? end + 2 : end + 1
      lexical.lastIndex = at
    } else if (piece === '{' || piece === '}') {
      out += piece
    } else if (piece.startsWith('/')) {
      out += spaces(piece)
    } else {
      out += `"${strings.push(piece.slice(1, -1)) - 1}"`
    }
  }
  return out + text.slice(at)
}

function endOfTemplateText(text: string, from: number): number {
  const end = /(?<!\\)(?:\\\\)*(?:`|\$\{)/g
  end.lastIndex = from
  const match = end.exec(text)
  if (match === null) return text.length
  return match.index + match[0].length - (match[0].endsWith('`') ? 1 : 2)
}

function spaces(text: string): string {
  return text.replace(/[^\n]/g, ' ')
}
