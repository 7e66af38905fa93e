import { currencyDecimals } from '@orders/schema'

const formats = new Map<string, Intl.NumberFormat>()

/**
 * An exact decimal in major units for people, e.g. ("1234.5", "EUR") -> "EUR 1,234.50". Takes text, since a sum may
 * have more digits than a number keeps, and ISO 4217's decimals, since Intl has others for some (none for IQD).
 */
export function money(amount: string, currency: string): string {
  let format = formats.get(currency)
  if (!format) {
    const decimals = currencyDecimals.get(currency) ?? 2
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals }
    format = new Intl.NumberFormat('en', { style: 'currency', currency, currencyDisplay: 'code', ...digits })
    formats.set(currency, format)
  }
  return format.format(amount as Intl.StringNumericLiteral)
}

const scale = 4 // no currency has more decimals

/** Ten-thousandths of the major unit, so that exact decimals can be added. */
export function toUnits(amount: string): bigint {
  const [whole = '0', fraction = ''] = amount.split('.')
  return BigInt(whole + fraction.padEnd(scale, '0'))
}

export function fromUnits(units: bigint): string {
  const digits = String(units).padStart(scale + 1, '0')
  return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}
