export * from './currency.ts'
export * from './errors.ts'
export * from './event.ts'
export * from './order.ts'
