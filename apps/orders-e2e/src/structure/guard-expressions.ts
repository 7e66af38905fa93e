import { stripTypeScriptTypes } from 'node:module'
import { type CallExpression, type Expression, type Node, parse, type SpreadElement } from 'acorn'
import { simple } from 'acorn-walk'

/** Methods and functions that drop what their callback returns. */
const droppers =
  /^(?:on|once|addListener|prependListener|forEach|setTimeout|setInterval|setImmediate|nextTick|queueMicrotask)$/
const open = 'assertNotPromise('
const openAsync = 'assertNotAsync('

/** The functions that guarded code calls. The compiler rejects a promise as their argument. */
export const declarations = `
declare function assertNotPromise<T>(value: T extends Promise<unknown> ? { floating: never } : T): void
declare function assertNotAsync(value: { floating: never }): never
`

/**
 * Makes each expression whose value is dropped the argument of a function that accepts no promise: an expression
 * statement, the operand of `void`, and the body of a callback whose caller drops its value. Lines stay as they are.
 */
export function guardExpressions(text: string): string {
  const insertions = new Map<number, string>()
  const insert = (at: number, piece: string) => insertions.set(at, (insertions.get(at) ?? '') + piece)
  const guard = (node: Node, name = open) => {
    insert(node.start, name)
    insertions.set(node.end, `)${insertions.get(node.end) ?? ''}`)
  }
  simple(parseTypeScript(text), {
    ExpressionStatement({ expression }) {
      if (mayFloat(expression)) guard(expression)
    },
    UnaryExpression({ operator, argument }) {
      if (operator === 'void' && !isHandled(argument)) guard(argument)
    },
    CallExpression(call) {
      if (droppers.test(nameOf(call))) for (const argument of call.arguments) guardCallback(argument, guard)
    },
  })
  return applyInsertions(text, insertions)
}

function parseTypeScript(text: string) {
  const code = stripTypeScriptTypes(text)
  if (code.length !== text.length) throw new Error('the types of this file cannot be blanked out in place')
  return parse(code, { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true })
}

function guardCallback(argument: Expression | SpreadElement, guard: (node: Node, name?: string) => void): void {
  if (argument.type !== 'ArrowFunctionExpression' && argument.type !== 'FunctionExpression') return
  if (argument.async) guard(argument, openAsync)
  else if (argument.body.type !== 'BlockStatement' && !isHandled(argument.body)) guard(argument.body)
}

/** Assignments keep the promise, and `await` and `yield` hand it on. */
function mayFloat(expression: Expression): boolean {
  const calls = ['CallExpression', 'ChainExpression', 'NewExpression', 'ConditionalExpression', 'LogicalExpression']
  return [...calls, 'Identifier', 'MemberExpression'].includes(expression.type) && !isHandled(expression)
}

/** Whether the promise has a handler of its rejection, or the call is super(). */
function isHandled(expression: Expression): boolean {
  const call = expression.type === 'ChainExpression' ? expression.expression : expression
  if (call.type !== 'CallExpression') return false
  if (call.callee.type === 'Super') return true
  const name = call.callee.type === 'MemberExpression' ? nameOf(call) : ''
  return (name === 'catch' && call.arguments.length > 0) || (name === 'then' && call.arguments.length > 1)
}

function nameOf({ callee }: CallExpression): string {
  const named = callee.type === 'MemberExpression' ? callee.property : callee
  return named.type === 'Identifier' ? named.name : ''
}

function applyInsertions(text: string, insertions: Map<number, string>): string {
  let guarded = ''
  let from = 0
  for (const [at, piece] of [...insertions].sort(([a], [b]) => a - b)) {
    guarded += text.slice(from, at) + piece
    from = at
  }
  return guarded + text.slice(from)
}
