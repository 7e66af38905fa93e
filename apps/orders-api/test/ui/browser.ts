import { createScratchDatabase } from '@orders/database/testing'
import Fastify, { type InjectOptions } from 'fastify'
import { parseHTML } from 'linkedom'
import type { Test } from 'tap'
import { app } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { serverOptions } from '../../src/server-options.ts'
import { lookup } from '../service.ts'

// What is used of the DOM; its own types would make `window` known to the sources too.
interface Element {
  id: string
  textContent: string | null
  getAttribute(name: string): string | null
  querySelector(selector: string): Element | null
  querySelectorAll(selector: string): Iterable<Element>
}
interface Document extends Element {
  documentElement: Element
  getElementById(id: string): Element | null
}

export const sameOrigin = { 'sec-fetch-site': 'same-origin' }

/** The service on a database of its own, and a browser without scripts: it keeps cookies and sends forms. */
export async function openBrowser(
  t: Test,
  { url, ...settings }: { url?: string; [setting: string]: string } = {},
  given: { now?: () => number } = {},
) {
  url ??= (await createScratchDatabase(t)).url
  const config = readConfig({ DATABASE_URL: url, LOG_LEVEL: 'silent', RATE_LIMITS: 'off', ...settings })
  const server = Fastify(serverOptions(config))
  const routes: { method: string; url: string }[] = []
  server.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push({ method: one, url })
  })
  await app(server, config, { lookup, ...given })
  t.teardown(() => server.close())
  const cookies = new Map<string, string>()
  let token: string | undefined

  async function send(options: InjectOptions) {
    const cookie = [...cookies].map(([key, value]) => `${key}=${value}`).join('; ')
    const authorization = token && `Bearer ${token}`
    const headers = {
      accept: 'text/html',
      ...(cookie && { cookie }),
      ...(authorization && { authorization }),
      ...options.headers,
    }
    const response = await server.inject({ ...options, headers })
    for (const { name, value, maxAge } of response.cookies) {
      if (maxAge === 0) cookies.delete(name)
      else cookies.set(name, value)
    }
    return { ...response, response, page: readPage(response.body) }
  }

  const get = (url: string, headers = {}) => send({ method: 'GET', url, headers })

  const post = (url: string, fields: Record<string, string>, headers: Record<string, string> = sameOrigin) =>
    send({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      payload: new URLSearchParams(fields).toString(),
    })

  /** Fills in a form by its labels and sends it as a browser would, hidden fields and all. */
  function submit(form: Element, filled: Record<string, string> = {}, headers = sameOrigin) {
    const fields: Record<string, string> = {}
    for (const control of form.querySelectorAll('input:not([type="checkbox"]), [checked], select'))
      fields[control.getAttribute('name') ?? ''] = inputValue(control)
    for (const [label, value] of Object.entries(filled)) fields[fieldOf(form, label).getAttribute('name') ?? ''] = value
    const action = form.getAttribute('action') ?? ''
    return form.getAttribute('method') === 'post'
      ? post(action, fields, headers)
      : get(`${action}?${new URLSearchParams(fields)}`)
  }

  /** From here on, a guest who owns an organisation sends everything. */
  async function actAsGuest() {
    const guest = (await server.inject({ method: 'POST', url: '/api/v1/auth/guest' })).json()
    token = guest.access_token as string
    return guest as { access_token: string; org: { id: string } }
  }

  return { server, routes, url, cookies, get, post, submit, actAsGuest }
}

export type Page = ReturnType<typeof readPage>

/** What a person finds on a page: by role, label and name, not by how it is built. */
export function readPage(html: string) {
  const { document } = parseHTML(html) as unknown as { document: Document }
  const all = (selector: string) => [...document.querySelectorAll(selector)]
  return {
    document,
    all,
    text: (selector: string) => textOf(document.querySelector(selector)),
    heading: () => textOf(document.querySelector('h1')),
    alert: () => textOf(document.querySelector('[role="alert"]')),
    status: () => textOf(document.querySelector('[role="status"]')),
    link: (name: string) =>
      all('a')
        .find((link) => textOf(link) === name)
        ?.getAttribute('href'),
    button: (name: string) => all('button').find((button) => textOf(button) === name),
    /** The form that a button of this name sends. */
    form: (button: string) => {
      const form = all('form').find((it) => [...it.querySelectorAll('button')].some((b) => textOf(b) === button))
      if (!form) throw new Error(`No form has a button ${button}`)
      return form
    },
    field: (label: string) => fieldOf(document.documentElement, label),
    /** What assistive technology says of a field beside its label. */
    description: (label: string) => {
      const ids = fieldOf(document.documentElement, label).getAttribute('aria-describedby') ?? ''
      return ids
        .split(' ')
        .map((id: string) => textOf(document.getElementById(id)))
        .join(' ')
    },
    rows: () => all('table.orders tbody tr').map((row) => [...row.querySelectorAll('td')].map((cell) => textOf(cell))),
  }
}

function fieldOf(within: Element, label: string): Element {
  const found = [...within.querySelectorAll('label')].find((it) => textOf(it) === label)
  const field = found && within.querySelector(`[id="${found.getAttribute('for')}"]`)
  if (!field) throw new Error(`No field is labelled ${label}`)
  return field
}

export function inputValue(control: Element): string {
  const chosen = control.querySelector('option[selected]') ?? control.querySelector('option')
  return (chosen ?? control).getAttribute('value') ?? ''
}

const textOf = (element: Element | null | undefined) => (element?.textContent ?? '').replace(/\s+/g, ' ').trim()
