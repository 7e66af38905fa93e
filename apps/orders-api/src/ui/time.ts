const at = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', ...options })
const minute = at({ day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' })
const day = at({ day: 'numeric', month: 'short' })

export type Time = { iso: string; text: string }

/** A time for a <time> element: RFC 3339, and for people, to the minute, in UTC. */
export const timeOf = (iso: string): Time => ({ iso, text: minute.format(new Date(iso)) })

/** "2026-11-21" -> "21 Nov". */
export const dayText = (isoDay: string): string => day.format(new Date(isoDay))
