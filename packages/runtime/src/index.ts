export {
  checkUrl,
  createLookup,
  type Destination,
  type EgressOptions,
  isPublicAddress,
  type Lookup,
  pinned,
  refusalOfUrl,
} from './egress.ts'
export { Choice, readSettings, Secret, SettingsError, settingsHelp } from './settings.ts'
export { onShutdown, type ShutdownReason, type UnhandledError } from './shutdown.ts'
