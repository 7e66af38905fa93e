/** Requests a minute, by what they are counted on; refusals and metrics tell these names. */
const defaults = {
  /** Without a valid token, an address. */
  anonymous: 30,
  /** New guests, an address. */
  guests: 5,
  /** New guests, all addresses together. */
  'all-guests': 100,
  /** Changes, a user. */
  writes: 120,
  /** Changes, an organisation. */
  'org-writes': 1200,
}

export type Limit = keyof typeof defaults
export type Figures = Readonly<Record<Limit, number>>

export const limitNames = Object.keys(defaults) as Limit[]
export const windowMs = 60_000

const pair = `(${limitNames.join('|')})=[1-9][0-9]{0,6}`

/** Of the setting: on, off, or the figures that are not to be the defaults. */
export const figuresPattern = `^(on|off|${pair}(,${pair})*)$`

/** The figures that a setting asks for; null if nothing is to be limited. */
export function readFigures(setting: string): Figures | null {
  if (setting === 'off') return null
  if (setting === 'on') return defaults
  const asked = setting.split(',').map((text) => text.split('='))
  return { ...defaults, ...Object.fromEntries(asked.map(([name, figure]) => [name, Number(figure)])) }
}
