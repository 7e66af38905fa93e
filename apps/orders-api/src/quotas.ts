import { defaultQuotas, type Quotas, quotaNames } from '@orders/orders'

const pair = `(${quotaNames.join('|')})=[1-9][0-9]{0,11}`

/** Of the setting: the quotas that differ from the defaults. */
export const quotasPattern = `^${pair}(,${pair})*$`
export const defaultQuotaPairs = Object.entries(defaultQuotas)
  .map(([name, limit]) => `${name}=${limit}`)
  .join(',')

/** The quota of every name, from a setting that matches the pattern. */
export function readQuotas(setting: string | undefined): Quotas {
  const pairs = setting?.split(',').map((text) => text.split('=')) ?? []
  return { ...defaultQuotas, ...Object.fromEntries(pairs.map(([name, limit]) => [name, Number(limit)])) }
}
